// Losses over drawn negatives on the CPU, row by row. A row's scores are first put where its
// gradients will be, divided by the temperature and with its hits out of the way; then one or two
// sweeps, as the loss wants sums over the row before gradients or not. Losses of rows are added in
// order: the same bits at any number of threads.
#include "backend/ops/sampled_loss.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "backend/cpu/parallel.h"
#include "backend/cpu/softplus.h"

namespace seqrank::cpu {
namespace {

// A row of S scores that become gradients.
struct Row {
  float* x;
  std::int64_t s;
  std::int64_t k;  // that are no hits; at least one but in softmax, bce and gbce
  float largest;   // of those
  float positive;
  float dpositive = 0;  // result
};

struct Factors {
  float inverse_temperature;
  float gradient;  // what every gradient is multiplied by
  float beta, regulariser;
};

double sigmoid(double x) {
  return x >= 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x));
}

double softmax_row(Row& row, const Factors& f) {
  const float top = std::max(row.positive, row.largest);
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t j = 0; j < row.s; ++j) {
    row.x[j] = fast_exp(row.x[j] - top);
    sum += static_cast<double>(row.x[j]);
  }
  const double own = std::exp(double{row.positive} - top), total = own + sum;
  const float factor = static_cast<float>(f.gradient / total);
  for (std::int64_t j = 0; j < row.s; ++j) row.x[j] *= factor;
  row.dpositive = static_cast<float>(-f.gradient * (sum / total));
  return own == 1 ? std::log1p(sum) : std::log(total) + double{top} - row.positive;
}

double bce_row(Row& row, const Factors& f) {
  const double share = 1.0 / static_cast<double>(row.k + 1);
  const double loss = f.beta * softplus(-double{row.positive}) + softplus_sum(row.x, row.s);
  const float factor = static_cast<float>(f.gradient * share);
  for (std::int64_t j = 0; j < row.s; ++j) row.x[j] = factor * fast_sigmoid(row.x[j]);
  row.dpositive = static_cast<float>(-f.gradient * share * f.beta * sigmoid(-row.positive));
  return share * loss;
}

double bpr_row(Row& row, const Factors& f) {
  const double share = 1.0 / static_cast<double>(row.k);
  const float factor = static_cast<float>(f.gradient * share);
  for (std::int64_t j = 0; j < row.s; ++j) row.x[j] -= row.positive;
  const double loss = softplus_sum(row.x, row.s);
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t j = 0; j < row.s; ++j) {
    row.x[j] = factor * fast_sigmoid(row.x[j]);
    sum += static_cast<double>(row.x[j]);
  }
  row.dpositive = static_cast<float>(-sum);
  return share * loss;
}

// With a = s(s_j - p): what is summed is w_j (1 - a). Where the positive is below the best
// negative this may be as small as e^(p - largest); multiplied by e^(largest - p) it is a.
double bpr_max_row(Row& row, const Factors& f) {
  const bool above = row.positive >= row.largest;
  double weights = 0, wrong = 0, right = 0, squares = 0;
#pragma omp simd reduction(+ : weights, wrong, right, squares)
  for (std::int64_t j = 0; j < row.s; ++j) {
    const float x = row.x[j], w = fast_exp(x - row.largest), a = fast_sigmoid(x - row.positive);
    weights += static_cast<double>(w);
    wrong += static_cast<double>(w * a);
    right += static_cast<double>(above ? w * (1 - a) : a);
    squares += static_cast<double>(w * x * x);
  }
  const double mean_square = squares / weights;
  const float inverse = static_cast<float>(1 / weights), of_right = static_cast<float>(1 / right);
  const float mean = static_cast<float>(mean_square);
  double pull = 0;
#pragma omp simd reduction(+ : pull)
  for (std::int64_t j = 0; j < row.s; ++j) {
    const float x = row.x[j], a = fast_sigmoid(x - row.positive);
    const float w = fast_exp(x - row.largest), u = (above ? w * (1 - a) : a) * of_right;
    pull += static_cast<double>(u * a);
    row.x[j] =
        f.gradient * (w * inverse * (1 + f.regulariser * (x * x - mean + 2 * x)) - u * (1 - a));
  }
  row.dpositive = static_cast<float>(-f.gradient * pull);
  const double loss = above ? -std::log1p(-wrong / weights)
                            : std::log(weights) - std::log(right) + row.largest - row.positive;
  return loss + f.regulariser * mean_square;
}

// a = s(s_j - p) and b = s(s_j^2) with their slopes.
double top1_row(Row& row, const Factors& f) {
  const double share = 1.0 / static_cast<double>(row.k);
  const float factor = static_cast<float>(f.gradient * share);
  double loss = 0, pull = 0;
#pragma omp simd reduction(+ : loss, pull)
  for (std::int64_t j = 0; j < row.s; ++j) {
    const float x = row.x[j], a = fast_sigmoid(x - row.positive), b = fast_sigmoid(x * x);
    loss += static_cast<double>(a + b);
    pull += static_cast<double>(a * (1 - a));
    row.x[j] = factor * (a * (1 - a) + 2 * x * b * (1 - b));
  }
  row.dpositive = static_cast<float>(-factor * pull);
  return share * (loss - static_cast<double>(row.s - row.k));  // b of a hit is one
}

double top1_max_row(Row& row, const Factors& f) {
  double weights = 0, sum = 0;
#pragma omp simd reduction(+ : weights, sum)
  for (std::int64_t j = 0; j < row.s; ++j) {
    const float x = row.x[j], w = fast_exp(x - row.largest);
    weights += static_cast<double>(w);
    sum += static_cast<double>(w * (fast_sigmoid(x - row.positive) + fast_sigmoid(x * x)));
  }
  const float mean = static_cast<float>(sum / weights);
  const float factor = static_cast<float>(f.gradient / weights);
  double pull = 0;
#pragma omp simd reduction(+ : pull)
  for (std::int64_t j = 0; j < row.s; ++j) {
    const float x = row.x[j], a = fast_sigmoid(x - row.positive), b = fast_sigmoid(x * x);
    const float w = factor * fast_exp(x - row.largest);
    pull += static_cast<double>(w * a * (1 - a));
    row.x[j] = w * (a + b - mean + a * (1 - a) + 2 * x * b * (1 - b));
  }
  row.dpositive = static_cast<float>(-pull);
  return sum / weights;
}

double run_row(SampledLoss kind, Row& row, const Factors& f) {
  switch (kind) {
    case SampledLoss::softmax:
      return softmax_row(row, f);
    case SampledLoss::bce:
    case SampledLoss::gbce:
      return bce_row(row, f);
    default:
      break;
  }
  if (row.k == 0) {
    std::fill_n(row.x, row.s, 0.0f);
    return 0;
  }
  switch (kind) {
    case SampledLoss::bpr:
      return bpr_row(row, f);
    case SampledLoss::bpr_max:
      return bpr_max_row(row, f);
    case SampledLoss::top1:
      return top1_row(row, f);
    default:
      return top1_max_row(row, f);
  }
}

}  // namespace

void sampled_loss(Context& ctx, Tensor& loss_1, Tensor& dpositive_N, Tensor& dnegative_NS,
                  const Tensor& positive_N, const Tensor& negative_NS, const Tensor& target_N,
                  const Tensor& negative_S, const Tensor& log_q_S, float scale,
                  const SampledLossOptions& options) {
  const std::int64_t rows = negative_NS.dim(0), s = negative_NS.dim(1);
  const float loss_scale = options.loss_scale_1 ? options.loss_scale_1.data<float>()[0] : 1;
  const Factors f{.inverse_temperature = 1 / options.temperature,
                  .gradient = scale * loss_scale / options.temperature,
                  .beta = options.kind == SampledLoss::gbce ? options.beta : 1,
                  .regulariser = options.regulariser};
  const std::vector<float> zeros(log_q_S ? 0 : s);
  const float* const log_q = log_q_S ? log_q_S.data<float>() : zeros.data();
  const bool corrected = options.kind == SampledLoss::softmax && log_q_S;
  const float *const positive = positive_N.data<float>(), *const score = negative_NS.data<float>();
  float *const dpositive = dpositive_N.data<float>(), *const dscore = dnegative_NS.data<float>();
  const std::int32_t* const item = negative_S.data<std::int32_t>();
  const std::int32_t* const target = target_N.data<std::int32_t>();
  std::vector<double> loss(rows);
  parallel_for(ctx, rows, 1 + 4096 / (s + 1), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n) {
      const std::int32_t hit = target[n];
      const float* const from = score + n * s;
      float* const x = dscore + n * s;
      const float correction = corrected ? 1 : 0;
      float largest = std::numeric_limits<float>::lowest();
      std::int64_t hits = 0;
#pragma omp simd reduction(max : largest) reduction(+ : hits)
      for (std::int64_t j = 0; j < s; ++j) {
        const float value = from[j] * f.inverse_temperature - correction * log_q[j];
        const bool out = item[j] == hit || from[j] == kHitScore;
        x[j] = out ? kHitScore : value;
        hits += out ? 1 : 0;
        largest = x[j] > largest ? x[j] : largest;
      }
      Row row{.x = x,
              .s = s,
              .k = s - hits,
              .largest = largest,
              .positive = positive[n] * f.inverse_temperature};
      loss[n] = run_row(options.kind, row, f);
      dpositive[n] = row.dpositive;
    }
  });
  for (double part : loss) *loss_1.data<double>() += scale * part;
}

void leave_out_negatives(Context& ctx, Tensor& negative_NS, const Tensor& list_N,
                         const Tensor& offset_L1, const Tensor& place_K) {
  constexpr std::int64_t kRowsPerThread = 64;
  const std::int64_t s = negative_NS.dim(1);
  float* const score = negative_NS.data<float>();
  const std::int32_t* const list = list_N.data<std::int32_t>();
  const std::int32_t* const offset = offset_L1.data<std::int32_t>();
  const std::int32_t* const place = place_K.data<std::int32_t>();
  parallel_for(ctx, negative_NS.dim(0), kRowsPerThread, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n)
      for (std::int32_t k = offset[list[n]]; k < offset[list[n] + 1]; ++k)
        score[n * s + place[k]] = kHitScore;
  });
}

}  // namespace seqrank::cpu
