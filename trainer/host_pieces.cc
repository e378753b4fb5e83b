// Copies through pinned memory of the context's host arena.
#include "trainer/host_pieces.h"

#include "backend/transfer.h"

namespace seqrank {

std::vector<TensorPiece> to_host(Context& ctx, std::span<const TensorPiece> pieces) {
  std::vector<TensorPiece> host(pieces.begin(), pieces.end());
  if (ctx.device() != Device::cpu) {
    for (TensorPiece& piece : host) {
      Tensor copy(ctx.host_arena(), piece.data.dtype(), piece.data.shape(), Tag::workspace);
      copy_to_host(ctx, copy, piece.data);
      piece.data = copy;
      piece.apart = true;
    }
  }
  ctx.compute().synchronize();
  return host;
}

std::int64_t save_bytes(const Context& ctx, std::span<const TensorPiece> pieces) {
  std::int64_t elements = 0;
  for (const TensorPiece& piece : pieces) {
    const bool in_arena = piece.apart && ctx.device() == Device::cpu;
    if (!piece.read && !in_arena) elements += piece.end - piece.begin;
  }
  return elements * static_cast<std::int64_t>(sizeof(float));
}

void load_pieces(Context& ctx, CheckpointStore& checkpoints, std::int64_t step,
                 std::span<const TensorPiece> pieces) {
  std::vector<TensorPiece> host(pieces.begin(), pieces.end());
  if (ctx.device() != Device::cpu)
    for (TensorPiece& piece : host)
      piece.data = Tensor(ctx.host_arena(), piece.data.dtype(), piece.data.shape(), Tag::workspace);
  checkpoints.load(step, host);
  if (ctx.device() == Device::cpu) return;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    Tensor on_device = pieces[i].data;
    copy_to_device(ctx, on_device, host[i].data);
  }
}

}  // namespace seqrank
