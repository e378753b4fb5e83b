// Kernels of the training step of two ranks (step_kernels.h).
#include "tests/emulated/step_kernels.h"

#include "device_code.h"
#include "launch.h"
#include "tests/emulated/fault.h"

namespace seqrank::emu {

using cuda::in;
using cuda::launch;
using cuda::out;
using cuda::update;

namespace {

constexpr int kThreads = 64;
constexpr unsigned kFullWarp = 0xffffffffu;

unsigned blocks_for(size_t count) {
  if (is_planted(Fault::grid_too_small)) return unsigned(count / kThreads) + (count < kThreads);
  return unsigned((count + kThreads - 1) / kThreads);
}

__device__ inline float warp_sum(float v) {
  for (int step = 16; step > 0; step /= 2) v += __shfl_xor_sync(kFullWarp, v, step);
  return v;
}

// The sum over the block, in every thread.
__device__ inline float block_sum(float v, bool skip_barrier) {
  SHARED_ARRAY(float, partial, kThreads / 32);
  v = warp_sum(v);
  if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = v;
  if (!skip_barrier) __syncthreads();
  v = threadIdx.x % 32 < kThreads / 32 ? partial[threadIdx.x % 32] : 0;
  return warp_sum(v);
}

// One block a sample.
__global__ void forward_head_kernel(float* hidden_BH, const float* w2_H, const float* target_B,
                                    float* error_B, float* loss_1, int H, float per_sample,
                                    Fault fault) {
  int b = blockIdx.x;
  float* hidden_H = hidden_BH + size_t(b) * H;
  float y = 0;
  for (int j = threadIdx.x; j < H; j += blockDim.x) {
    hidden_H[j] = fmaxf(hidden_H[j], 0.f);
    y += hidden_H[j] * w2_H[j];
  }
  y = block_sum(y, fault == Fault::missing_barrier);
  if (threadIdx.x == 0) {
    float difference = y - target_B[b];
    error_B[b] = difference * per_sample;
    float share = 0.5f * difference * difference * per_sample;
    if (fault == Fault::blocks_without_atomic)
      *loss_1 += share;
    else
      atomicAdd(loss_1, share);
  }
}

__global__ void backward_w2_kernel(float* grad_w2_H, const float* hidden_BH, const float* error_B,
                                   int B, int H) {
  int j = blockIdx.x * blockDim.x + threadIdx.x;
  if (j >= H) return;
  float sum = 0;
  for (int b = 0; b < B; b++) sum += error_B[b] * hidden_BH[size_t(b) * H + j];
  grad_w2_H[j] = sum;
}

__global__ void backward_w1_kernel(float* grad_w1_DH, const float* x_BD, const float* hidden_BH,
                                   const float* w2_H, const float* error_B, int B, int D, int H) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= D * H) return;
  int d = i / H, j = i % H;
  float sum = 0;
  for (int b = 0; b < B; b++)
    if (hidden_BH[size_t(b) * H + j] > 0) sum += error_B[b] * x_BD[size_t(b) * D + d];
  grad_w1_DH[i] = sum * w2_H[j];
}

__global__ void sgd_kernel(float* weight, const float* gradient, int count, float rate) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count) weight[i] -= rate * gradient[i];
}

// The same on four elements at a time; both arrays must be aligned for that.
__global__ void sgd4_kernel(float* weight, const float* gradient, int count, float rate) {
  int i = 4 * (blockIdx.x * blockDim.x + threadIdx.x);
  if (i + 4 > count) return;
  float4 w = *reinterpret_cast<float4*>(weight + i);
  float4 g = *reinterpret_cast<const float4*>(gradient + i);
  w = make_float4(w.x - rate * g.x, w.y - rate * g.y, w.z - rate * g.z, w.w - rate * g.w);
  *reinterpret_cast<float4*>(weight + i) = w;
}

}  // namespace

void multiply(const Stream& stream, std::span<float> products_BH, std::span<const float> x_BD,
              std::span<const float> w1_DH, int B, int D, int H) {
  float* y = on_host(out(products_BH));
  const float *x = on_host(in(x_BD)), *w = on_host(in(w1_DH));
  const auto product = [=] {
    for (int b = 0; b < B; ++b) {
      for (int j = 0; j < H; ++j) {
        float sum = 0;
        for (int d = 0; d < D; ++d) sum += x[b * D + d] * w[d * H + j];
        y[b * H + j] = sum;
      }
    }
  };
  enqueue(stream.get(), "product", {range(out(products_BH)), range(in(x_BD)), range(in(w1_DH))},
          product);
}

void forward_head(const Stream& stream, std::span<float> hidden_BH, std::span<const float> w2_H,
                  std::span<const float> target_B, std::span<float> error_B,
                  std::span<float> loss_1, int samples) {
  unsigned B = unsigned(target_B.size());
  launch<forward_head_kernel>({B, kThreads}, stream.get(), update(hidden_BH), in(w2_H),
                              in(target_B), out(error_B), update(loss_1), int(w2_H.size()),
                              1.f / samples, planted);
}

void backward_w2(const Stream& stream, std::span<float> grad_w2_H, std::span<const float> hidden_BH,
                 std::span<const float> error_B) {
  int B = int(error_B.size()), H = int(grad_w2_H.size());
  launch<backward_w2_kernel>({blocks_for(H), kThreads}, stream.get(), out(grad_w2_H), in(hidden_BH),
                             in(error_B), B, H);
}

void backward_w1(const Stream& stream, std::span<float> grad_w1_DH, std::span<const float> x_BD,
                 std::span<const float> hidden_BH, std::span<const float> w2_H,
                 std::span<const float> error_B) {
  int B = int(error_B.size()), H = int(w2_H.size()), D = int(x_BD.size()) / B;
  if (is_planted(Fault::read_out_of_bounds)) B++;
  launch<backward_w1_kernel>({blocks_for(grad_w1_DH.size()), kThreads}, stream.get(),
                             out(grad_w1_DH), in(x_BD), in(hidden_BH), in(w2_H), in(error_B), B, D,
                             H);
}

void sgd(const Stream& stream, std::span<float> weight, std::span<const float> gradient,
         float rate) {
  size_t first = is_planted(Fault::misaligned_vector) ? 1 : 0;  // where the vectors start
  auto part = [&](size_t from, size_t count, bool as_vectors) {
    if (count == 0) return;
    auto w = weight.subspan(from, count);
    auto g = gradient.subspan(from, count);
    if (as_vectors)
      launch<sgd4_kernel>({blocks_for(count / 4), kThreads}, stream.get(), update(w), in(g),
                          int(count), rate);
    else
      launch<sgd_kernel>({blocks_for(count), kThreads}, stream.get(), update(w), in(g), int(count),
                         rate);
  };
  size_t quads = (weight.size() - first) / 4 * 4;
  part(0, first, false);
  part(first, quads, true);
  part(first + quads, weight.size() - first - quads, false);
}

}  // namespace seqrank::emu
