// Parts of a loss added by one block: tens of thousands of numbers at most, so latency is all it
// costs.
#include "backend/cuda/loss_sum.h"

#include "backend/cuda/elements.h"
#include "backend/cuda/runtime.h"
#include "device_code.h"

namespace seqrank::cuda {
namespace {

__global__ void add_loss_kernel(double* loss_1, const double* part_N, std::int64_t parts,
                                double factor) {
  double sum = 0;
  for (std::int64_t n = threadIdx.x; n < parts; n += kThreads) sum += part_N[n];
  sum = block_sum(sum);
  if (threadIdx.x == 0) *loss_1 += factor * sum;
}

}  // namespace

void add_loss(Context& ctx, Tensor& loss_1, const Tensor& part_N, double factor) {
  launch<add_loss_kernel>({1, kThreads}, stream_of(ctx), update<double>(loss_1), in<double>(part_N),
                          part_N.numel(), factor);
}

}  // namespace seqrank::cuda
