// Kernels with faults (fault_kernels.h).
#include "tests/emulated/fault_kernels.h"

#include "device_code.h"
#include "launch.h"
#include "tests/emulated/fault.h"
#include "tests/emulated/handles.h"

namespace seqrank::emu {

namespace {

constexpr int kThreads = 64;
constexpr int kTile = 4 * kThreads;  // elements
constexpr int kTiles = 5, kBlocks = 3;

// The sum over the block, in every thread; partial is used again and again.
__device__ float block_sum(float v, float* partial, Fault fault) {
  const unsigned mask = fault == Fault::wrong_shuffle_mask ? 0x0000ffffu : 0xffffffffu;
  for (int step = 16; step > 0; step /= 2) v += __shfl_xor_sync(mask, v, step);
  if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = v;
  if (fault == Fault::divergent_barrier) {
    if (threadIdx.x < 32) __syncthreads();
  } else if (fault != Fault::no_barrier_before_read) {
    __syncthreads();
  }
  v = partial[0] + partial[1];
  if (fault != Fault::no_barrier_after_read) __syncthreads();
  return v;
}

// y = the sum of x and the sum of its squares, a block a row of 64.
__global__ void two_sums_kernel(const float* x, float* y, Fault fault) {
  SHARED_ARRAY(float, partial, kThreads / 32);
  const float v = x[blockIdx.x * kThreads + threadIdx.x];
  const float sum = block_sum(v, partial, fault);
  const float squares = block_sum(v * v, partial, fault);
  if (threadIdx.x == kThreads - 1) {
    y[2 * blockIdx.x] = sum;
    y[2 * blockIdx.x + 1] = squares;
  }
}

// y[t] = the sum over tiles of (tile + 1) times four elements that another warp has copied. A block
// a row of kTiles tiles; two tiles are in shared memory, one on its way while the other is read.
__global__ void tile_kernel(const float* x, float* y, Fault fault) {
  DYNAMIC_SHARED(float, tiles);
  const int t = static_cast<int>(threadIdx.x);
  const float* row = x + blockIdx.x * kTiles * kTile;
  const int shift = fault == Fault::misaligned_copy ? 1 : 0;
  const auto load = [&](int tile) {
    cuda::copy_async_16(tiles + tile % 2 * kTile + 4 * t, row + tile * kTile + 4 * t + shift);
    cuda::copy_commit();
  };
  float sum = 0;
  load(0);
  for (int tile = 0; tile < kTiles; ++tile) {
    if (tile + 1 == kTiles) {
      cuda::copy_wait<0>();
    } else {
      load(tile + 1);
      if (fault == Fault::wait_one_group_short) {
        cuda::copy_wait<2>();
      } else {
        cuda::copy_wait<1>();
      }
    }
    if (fault != Fault::no_barrier_after_wait) __syncthreads();
    const float* mirrored = tiles + tile % 2 * kTile + 4 * (kThreads - 1 - t);
    for (int i = 0; i < 4; ++i) sum += static_cast<float>(tile + 1) * mirrored[i];
    if (fault != Fault::no_barrier_at_end_of_tile) __syncthreads();
  }
  y[blockIdx.x * kThreads + threadIdx.x] = sum;
}

float value(std::size_t i) {
  return static_cast<float>(i * 7 % 19) - 9;
}

// Small integers: the results are exact.
bool sums_are_right(std::span<const float> sums) {
  for (int b = 0; b < kBlocks; ++b) {
    float sum = 0, squares = 0;
    for (int t = 0; t < kThreads; ++t) {
      const float v = value(b * kThreads + t);
      sum += v;
      squares += v * v;
    }
    if (sums[2 * b] != sum || sums[2 * b + 1] != squares) return false;
  }
  return true;
}

bool tiles_are_right(std::span<const float> y) {
  for (int b = 0; b < kBlocks; ++b) {
    for (int t = 0; t < kThreads; ++t) {
      float sum = 0;
      for (int tile = 0; tile < kTiles; ++tile) {
        for (int i = 0; i < 4; ++i) {
          const std::size_t row = static_cast<std::size_t>(b) * kTiles + tile;
          sum += static_cast<float>(tile + 1) * value(row * kTile + 4 * (kThreads - 1 - t) + i);
        }
      }
      if (y[b * kThreads + t] != sum) return false;
    }
  }
  return true;
}

}  // namespace

bool kernels_are_right() {
  const Stream stream("compute");
  constexpr std::size_t count = kBlocks * kTiles * kTile;
  PinnedBuffer<float> host(count), sums(2 * kBlocks), y(kBlocks * kThreads);
  const std::span<float> values = host.write();
  for (std::size_t i = 0; i < count; ++i) values[i] = value(i);
  const DeviceBuffer<float> x_device(stream, count + 4), sums_device(stream, 2 * kBlocks),
      y_device(stream, kBlocks * kThreads);
  copy(stream, x_device.span().first(count), host.span());
  using cuda::in, cuda::out, cuda::launch;
  launch<two_sums_kernel>({kBlocks, kThreads}, stream.get(),
                          in(x_device.span().first(kBlocks * kThreads)), out(sums_device.span()),
                          planted);
  std::size_t shared = 2 * kTile * sizeof(float);
  if (is_planted(Fault::shared_array_too_small)) shared -= 4 * sizeof(float);
  launch<tile_kernel>({kBlocks, kThreads, shared}, stream.get(), in(x_device.span()),
                      out(y_device.span()), planted);
  copy(stream, sums.span(), sums_device.span());
  copy(stream, y.span(), y_device.span());
  stream.synchronize();
  return sums_are_right(sums.read()) && tiles_are_right(y.read());
}

}  // namespace seqrank::emu
