// Pieces of tensors between the device and a checkpoint, which knows host memory alone.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "backend/context.h"
#include "trainer/checkpoint.h"

namespace seqrank {

// The pieces as they are after what is enqueued on the compute stream; blocks. On the CPU the
// tensors are the same, and bf16 is read as f32 while a save writes; what has a `read` stays where
// it is.
std::vector<TensorPiece> to_host(Context& ctx, std::span<const TensorPiece> pieces);

// What a save of `pieces`, as to_host() gives them, holds of the host's memory besides the
// context's arena: its own copy, and of a device those in pinned memory.
std::int64_t save_bytes(const Context& ctx, std::span<const TensorPiece> pieces);

// For pieces that need not have a copy in pinned memory: x, on the device, f32 or bf16, in the
// order of the compute stream, a block at a time. Each call blocks.
ReadElements read_by_blocks(Context& ctx, const Tensor& x);
WriteElements write_by_blocks(Context& ctx, const Tensor& x);

// CheckpointStore::load() into pieces on the device, f32 or bf16.
void load_pieces(Context& ctx, CheckpointStore& checkpoints, std::int64_t step,
                 std::span<const TensorPiece> pieces);

}  // namespace seqrank
