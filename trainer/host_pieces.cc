// Copies through pinned memory of the context's host arena.
#include "trainer/host_pieces.h"

#include <algorithm>

#include "backend/bf16.h"
#include "backend/transfer.h"

namespace seqrank {
namespace {

constexpr std::int64_t kBlock = 1 << 20;  // elements

ReadElements reads_bf16(const Tensor& data) {
  return [data](std::int64_t first, std::span<float> out) {
    from_bf16(out.data(), bf16_data(data) + first, std::ssize(out));
  };
}
WriteElements writes_bf16(const Tensor& data) {
  return [data = data](std::int64_t first, std::span<const float> in) mutable {
    round_to_bf16(bf16_data(data) + first, in.data(), std::ssize(in));
  };
}

}  // namespace

std::vector<TensorPiece> to_host(Context& ctx, std::span<const TensorPiece> pieces) {
  std::vector<TensorPiece> host(pieces.begin(), pieces.end());
  for (TensorPiece& piece : host) {
    if (piece.read) continue;
    const bool bf16 = piece.data.dtype() == DType::bf16;
    if (ctx.device() == Device::cpu) {
      if (bf16) piece.read = reads_bf16(piece.data);
    } else if (bf16) {
      piece.data = f32_to_host(ctx, piece.data);
      piece.apart = true;
    } else {
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

ReadElements read_by_blocks(Context& ctx, const Tensor& x) {
  return [&ctx, x](std::int64_t first, std::span<float> out) {
    for (std::int64_t done = 0; done < std::ssize(out); done += kBlock) {
      const std::int64_t end = std::min(done + kBlock, std::ssize(out));
      const Tensor here = f32_to_host(ctx, x.flat_range(first + done, first + end));
      std::ranges::copy(here.span<float>(), out.begin() + done);
    }
  };
}

WriteElements write_by_blocks(Context& ctx, const Tensor& x) {
  return [&ctx, x](std::int64_t first, std::span<const float> in) {
    for (std::int64_t done = 0; done < std::ssize(in); done += kBlock) {
      const std::int64_t end = std::min(done + kBlock, std::ssize(in));
      Tensor here(ctx.host_arena(), DType::f32, {end - done}, Tag::workspace);
      std::copy(in.begin() + done, in.begin() + end, here.data<float>());
      Tensor there = x.flat_range(first + done, first + end);
      f32_to_device(ctx, there, here);
      ctx.compute().synchronize();
    }
  };
}

void load_pieces(Context& ctx, CheckpointStore& checkpoints, std::int64_t step,
                 std::span<const TensorPiece> pieces) {
  std::vector<TensorPiece> host(pieces.begin(), pieces.end());
  for (TensorPiece& piece : host) {
    if (piece.write) continue;
    if (ctx.device() != Device::cpu)
      piece.data = Tensor(ctx.host_arena(), DType::f32, piece.data.shape(), Tag::workspace);
    else if (piece.data.dtype() == DType::bf16)
      piece.write = writes_bf16(piece.data);
  }
  checkpoints.load(step, host);
  if (ctx.device() == Device::cpu) return;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    if (pieces[i].write) continue;
    Tensor on_device = pieces[i].data;
    f32_to_device(ctx, on_device, host[i].data);
  }
}

}  // namespace seqrank
