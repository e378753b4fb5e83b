// Losses over drawn negatives on a CUDA device: a block a row. Its scores are read two or three
// times (the largest and the number of hits; the sums that a loss divides by; the gradients), from
// the L2 cache after the first. Bound by memory, 8 bytes a score, and by exponentials. Sums of a
// thread are fp32, of a block and of rows f64. A drawn target is recognised each time.
#include "backend/ops/sampled_loss.h"

#include <cfloat>

#include "backend/cuda/elements.h"
#include "backend/cuda/kernels.h"
#include "backend/cuda/loss_sum.h"
#include "backend/cuda/runtime.h"
#include "device_code.h"

namespace seqrank::cuda {
namespace {

struct Factors {
  float inverse_temperature, scale, beta, regulariser;
};

// Scores of a row as the formulas have them.
struct Row {
  const float* score;
  const std::int32_t* item;
  const float* log_q;  // or null
  std::int32_t target;
  float inverse_temperature;
  std::int64_t s;

  __device__ bool hit(std::int64_t j) const { return item[j] == target || score[j] == kHitScore; }
  __device__ float operator[](std::int64_t j) const {
    const float x = score[j] * inverse_temperature;
    return hit(j) ? kHitScore : log_q != nullptr ? x - log_q[j] : x;
  }
};

struct RowResult {
  double loss;
  double dpositive;  // before the factor of all gradients
};

__device__ float sigmoid(float x) {
  const float e = expf(-fabsf(x));
  return (x >= 0.f ? 1.f : e) / (1.f + e);
}
__device__ float softplus(float x) {
  return fmaxf(x, 0.f) + log1pf(expf(-fabsf(x)));
}
__device__ double softplus(double x) {
  return fmax(x, 0.0) + log1p(exp(-fabs(x)));
}

__device__ RowResult softmax_row(float* g, const Row& x, float p, float largest, float factor) {
  const float top = fmaxf(p, largest);
  float part = 0;
  for (std::int64_t j = threadIdx.x; j < x.s; j += kThreads) part += expf(x[j] - top);
  const double sum = block_sum(static_cast<double>(part));
  const double own = exp(static_cast<double>(p) - top), total = own + sum;
  const float each = static_cast<float>(factor / total);
  for (std::int64_t j = threadIdx.x; j < x.s; j += kThreads) g[j] = each * expf(x[j] - top);
  return {own == 1 ? log1p(sum) : log(total) + top - p, -sum / total};
}

__device__ RowResult bce_row(float* g, const Row& x, float p, std::int64_t k, float factor,
                             float beta) {
  const double share = 1.0 / static_cast<double>(k + 1);
  const float each = static_cast<float>(factor * share);
  float part = 0;
  for (std::int64_t j = threadIdx.x; j < x.s; j += kThreads) {
    const float value = x[j];
    part += softplus(value);
    g[j] = each * sigmoid(value);
  }
  const double sum = block_sum(static_cast<double>(part));
  return {share * (beta * softplus(-static_cast<double>(p)) + sum), -share * beta * sigmoid(-p)};
}

__device__ RowResult bpr_row(float* g, const Row& x, float p, std::int64_t k, float factor) {
  const double share = 1.0 / static_cast<double>(k);
  const float each = static_cast<float>(factor * share);
  float loss = 0, pull = 0;
  for (std::int64_t j = threadIdx.x; j < x.s; j += kThreads) {
    const float value = x[j] - p, a = sigmoid(value);
    loss += softplus(value);
    pull += a;
    g[j] = each * a;
  }
  const double all = block_sum(static_cast<double>(loss));
  return {share * all, -share * block_sum(static_cast<double>(pull))};
}

// As on a CPU: w_j (1 - a), or a where that may underflow.
__device__ RowResult bpr_max_row(float* g, const Row& x, float p, float largest, float factor,
                                 float regulariser) {
  const bool above = p >= largest;
  float weights_part = 0, wrong_part = 0, right_part = 0, squares_part = 0;
  for (std::int64_t j = threadIdx.x; j < x.s; j += kThreads) {
    const float value = x[j], w = expf(value - largest), a = sigmoid(value - p);
    weights_part += w;
    wrong_part += w * a;
    right_part += above ? w * (1 - a) : a;
    squares_part += w * value * value;
  }
  const double weights = block_sum(static_cast<double>(weights_part));
  const double wrong = block_sum(static_cast<double>(wrong_part));
  const double right = block_sum(static_cast<double>(right_part));
  const double mean_square = block_sum(static_cast<double>(squares_part)) / weights;
  const float inverse = static_cast<float>(1 / weights), of_right = static_cast<float>(1 / right);
  const float mean = static_cast<float>(mean_square);
  float pull = 0;
  for (std::int64_t j = threadIdx.x; j < x.s; j += kThreads) {
    const float value = x[j], a = sigmoid(value - p), w = expf(value - largest);
    const float u = (above ? w * (1 - a) : a) * of_right;
    pull += u * a;
    g[j] = factor *
           (w * inverse * (1 + regulariser * (value * value - mean + 2 * value)) - u * (1 - a));
  }
  const double loss =
      above ? -log1p(-wrong / weights)
            : log(weights) - log(right) + static_cast<double>(largest) - static_cast<double>(p);
  return {loss + regulariser * mean_square, -block_sum(static_cast<double>(pull))};
}

__device__ RowResult top1_row(float* g, const Row& x, float p, std::int64_t k, float factor) {
  const double share = 1.0 / static_cast<double>(k);
  const float each = static_cast<float>(factor * share);
  float loss = 0, pull = 0;
  for (std::int64_t j = threadIdx.x; j < x.s; j += kThreads) {
    const float value = x[j], a = sigmoid(value - p), b = sigmoid(value * value);
    if (!x.hit(j)) loss += a + b;
    pull += a * (1 - a);
    g[j] = each * (a * (1 - a) + 2 * value * b * (1 - b));
  }
  const double all = block_sum(static_cast<double>(loss));
  return {share * all, -share * block_sum(static_cast<double>(pull))};
}

__device__ RowResult top1_max_row(float* g, const Row& x, float p, float largest, float factor) {
  float weights_part = 0, sum_part = 0;
  for (std::int64_t j = threadIdx.x; j < x.s; j += kThreads) {
    const float value = x[j], w = expf(value - largest);
    weights_part += w;
    sum_part += w * (sigmoid(value - p) + sigmoid(value * value));
  }
  const double weights = block_sum(static_cast<double>(weights_part));
  const double loss = block_sum(static_cast<double>(sum_part)) / weights;
  const float mean = static_cast<float>(loss), inverse = static_cast<float>(1 / weights);
  float pull = 0;
  for (std::int64_t j = threadIdx.x; j < x.s; j += kThreads) {
    const float value = x[j], a = sigmoid(value - p), b = sigmoid(value * value);
    const float w = inverse * expf(value - largest);
    pull += w * a * (1 - a);
    g[j] = factor * w * (a + b - mean + a * (1 - a) + 2 * value * b * (1 - b));
  }
  return {loss, -block_sum(static_cast<double>(pull))};
}

// dnegative may be negative, dpositive positive.
template <SampledLoss kind>
__global__ void sampled_loss_kernel(double* loss_N, float* dpositive_N, float* dnegative_NS,
                                    const float* positive_N, const float* negative_NS,
                                    const std::int32_t* target_N, const std::int32_t* negative_S,
                                    const float* log_q_S, const float* loss_scale, std::int64_t s,
                                    Factors f) {
  const std::int64_t n = blockIdx.x;
  const Row x{negative_NS + n * s,
              negative_S,
              kind == SampledLoss::softmax ? log_q_S : nullptr,
              target_N[n],
              f.inverse_temperature,
              s};
  float* const g = dnegative_NS + n * s;
  const float p = positive_N[n] * f.inverse_temperature;
  const float factor =
      f.scale * f.inverse_temperature * (loss_scale != nullptr ? *loss_scale : 1.f);
  float largest = -FLT_MAX;
  int hits = 0;
  for (std::int64_t j = threadIdx.x; j < s; j += kThreads) {
    largest = fmaxf(largest, x[j]);
    hits += x.hit(j) ? 1 : 0;
  }
  largest = block_max(largest);
  const std::int64_t k = s - block_sum(hits);
  RowResult result{0, 0};
  if constexpr (kind == SampledLoss::softmax) {
    result = softmax_row(g, x, p, largest, factor);
  } else if constexpr (kind == SampledLoss::bce) {
    result = bce_row(g, x, p, k, factor, f.beta);
  } else if (k == 0) {
    for (std::int64_t j = threadIdx.x; j < s; j += kThreads) g[j] = 0;
  } else if constexpr (kind == SampledLoss::bpr) {
    result = bpr_row(g, x, p, k, factor);
  } else if constexpr (kind == SampledLoss::bpr_max) {
    result = bpr_max_row(g, x, p, largest, factor, f.regulariser);
  } else if constexpr (kind == SampledLoss::top1) {
    result = top1_row(g, x, p, k, factor);
  } else {
    result = top1_max_row(g, x, p, largest, factor);
  }
  if (threadIdx.x != 0) return;
  loss_N[n] = result.loss;
  dpositive_N[n] = static_cast<float>(factor * result.dpositive);
}

// A warp a row.
__global__ void leave_out_negatives_kernel(float* score_NS, const std::int32_t* list_N,
                                           const std::int32_t* offset_L1,
                                           const std::int32_t* place_K, std::int64_t rows,
                                           std::int64_t s) {
  const std::int64_t n = warp_index();
  if (n >= rows) return;
  const std::int32_t list = list_N[n];
  for (std::int32_t k = offset_L1[list] + lane_index(); k < offset_L1[list + 1]; k += 32)
    score_NS[n * s + place_K[k]] = kHitScore;
}

}  // namespace

void sampled_loss(Context& ctx, Tensor& loss_1, Tensor& dpositive_N, Tensor& dnegative_NS,
                  const Tensor& positive_N, const Tensor& negative_NS, const Tensor& target_N,
                  const Tensor& negative_S, const Tensor& log_q_S, float scale,
                  const SampledLossOptions& options) {
  const std::int64_t rows = negative_NS.dim(0), s = negative_NS.dim(1);
  const Factors f{1 / options.temperature, scale,
                  options.kind == SampledLoss::gbce ? options.beta : 1.f, options.regulariser};
  Tensor loss_N = ctx.empty(DType::f64, {rows}, Tag::workspace);
  const auto run = [&]<SampledLoss kind>() {
    launch<sampled_loss_kernel<kind>>(
        {static_cast<unsigned>(rows), kThreads}, stream_of(ctx), out<double>(loss_N),
        update<float>(dpositive_N), update<float>(dnegative_NS), in<float>(positive_N),
        in<float>(negative_NS), in<std::int32_t>(target_N), in<std::int32_t>(negative_S),
        in<float>(log_q_S), in<float>(options.loss_scale_1), s, f);
  };
  switch (options.kind) {
    case SampledLoss::softmax:
      run.template operator()<SampledLoss::softmax>();
      break;
    case SampledLoss::bce:
    case SampledLoss::gbce:
      run.template operator()<SampledLoss::bce>();
      break;
    case SampledLoss::bpr:
      run.template operator()<SampledLoss::bpr>();
      break;
    case SampledLoss::bpr_max:
      run.template operator()<SampledLoss::bpr_max>();
      break;
    case SampledLoss::top1:
      run.template operator()<SampledLoss::top1>();
      break;
    case SampledLoss::top1_max:
      run.template operator()<SampledLoss::top1_max>();
      break;
  }
  add_loss(ctx, loss_1, loss_N, static_cast<double>(scale));
}

void leave_out_negatives(Context& ctx, Tensor& negative_NS, const Tensor& list_N,
                         const Tensor& offset_L1, const Tensor& place_K) {
  const std::int64_t rows = negative_NS.dim(0);
  launch<leave_out_negatives_kernel>(per_warp(rows), stream_of(ctx), update<float>(negative_NS),
                                     in<std::int32_t>(list_N), in<std::int32_t>(offset_L1),
                                     in<std::int32_t>(place_K), rows, negative_NS.dim(1));
}

}  // namespace seqrank::cuda
