// The softmax by tiles on the CPU, a row at a time; threads take rows.
#include "backend/ops/softmax_tiles.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "backend/cpu/exp_row.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/parallel.h"

namespace seqrank::cpu {
namespace {

constexpr std::int64_t kGrain = 8;    // rows worth a thread
constexpr std::int64_t kVector = 16;  // what exp_row.h takes at once

// The column of an item, or -1.
std::int64_t column_of(std::int64_t item, const TileItems& items, std::int64_t columns) {
  const std::int64_t from_first = item - items.first;
  if (item < 0 || from_first < 0 || from_first % items.step != 0) return -1;
  const std::int64_t column = from_first / items.step;
  return column < columns ? column : -1;
}

// row[i] = e^(row[i] - largest), and their sum.
double exponentiate(float* row, std::int64_t n, float largest) {
  const std::int64_t whole = n / kVector * kVector;
  double sum = exponentiate_row(row, whole, largest);
  for (std::int64_t i = whole; i < n; ++i) {
    row[i] = std::exp(row[i] - largest);
    sum += row[i];
  }
  return sum;
}

void add_row(double* state, float* row, std::int64_t n, std::int64_t target) {
  if (n == 0) return;
  if (target >= 0) state[kTarget] = row[target];
  float total = 0;
#pragma omp simd reduction(+ : total)
  for (std::int64_t i = 0; i < n; ++i) total += row[i];
  const bool first = state[kSum] == 0;
  const std::int64_t whole = n / kVector * kVector;
  float largest = largest_of_row(
      row, whole,
      first ? std::numeric_limits<float>::lowest() : static_cast<float>(state[kLargest]));
  for (std::int64_t i = whole; i < n; ++i) largest = std::max(largest, row[i]);
  const double before = first ? 0 : state[kSum] * std::exp(state[kLargest] - largest);
  state[kLargest] = largest;
  state[kSum] = before + exponentiate(row, n, largest);
  state[kTotal] += total;
}

}  // namespace

void add_to_softmax(Context& ctx, Tensor& state_N4, Tensor& logit_NT, const Tensor& target_N,
                    const TileItems& items) {
  const std::int64_t columns = logit_NT.dim(1);
  parallel_for(ctx, logit_NT.dim(0), kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n)
      add_row(state_N4.data<double>() + n * kStateColumns, logit_NT.data<float>() + n * columns,
              columns, column_of(target_N.data<std::int32_t>()[n], items, columns));
  });
}

void join_softmax(Context&, Tensor& state_N4, const Tensor& state_RN4) {
  const std::int64_t rows = state_N4.dim(0), parts = state_RN4.dim(0);
  for (std::int64_t n = 0; n < rows; ++n) {
    const auto part = [&](std::int64_t r) {
      return state_RN4.data<double>() + (r * rows + n) * kStateColumns;
    };
    double* const state = state_N4.data<double>() + n * kStateColumns;
    double largest = std::numeric_limits<float>::lowest();
    for (std::int64_t r = 0; r < parts; ++r)
      if (part(r)[kSum] != 0) largest = std::max(largest, part(r)[kLargest]);
    double sum = 0, total = 0, target = 0;
    for (std::int64_t r = 0; r < parts; ++r) {
      if (part(r)[kSum] != 0) sum += part(r)[kSum] * std::exp(part(r)[kLargest] - largest);
      total += part(r)[kTotal];
      target += part(r)[kTarget];
    }
    state[kLargest] = largest;
    state[kSum] = sum;
    state[kTotal] = total;
    state[kTarget] = target;
  }
}

void add_softmax_loss(Context&, Tensor& loss_1, const Tensor& state_N4,
                      const SoftmaxTarget& wanted) {
  const double sharp = 1 - double{wanted.smoothing};
  const double even = double{wanted.smoothing} / static_cast<double>(wanted.items);
  double loss = 0;
  for (std::int64_t n = 0; n < state_N4.dim(0); ++n) {
    const double* const state = state_N4.data<double>() + n * kStateColumns;
    loss += state[kLargest] + std::log(state[kSum]) - sharp * state[kTarget];
    if (even > 0) loss -= even * state[kTotal];  // not where an item's -inf would be in it
  }
  *loss_1.data<double>() += wanted.scale * loss;
}

void softmax_gradient(Context& ctx, Tensor& logit_NT, const Tensor& state_N4,
                      const Tensor& target_N, const TileItems& items, const SoftmaxTarget& wanted) {
  const std::int64_t columns = logit_NT.dim(1);
  const double scale =
      wanted.scale * (wanted.loss_scale_1 ? double{wanted.loss_scale_1.data<float>()[0]} : 1.0);
  const auto even =
      static_cast<float>(scale * wanted.smoothing / static_cast<double>(wanted.items));
  const auto sharp = static_cast<float>(scale * (1 - wanted.smoothing));
  parallel_for(ctx, logit_NT.dim(0), kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n) {
      float* const row = logit_NT.data<float>() + n * columns;
      const double* const state = state_N4.data<double>() + n * kStateColumns;
      const std::int32_t target = target_N.data<std::int32_t>()[n];
      if (target < 0) {
        std::fill_n(row, columns, 0.0f);
        continue;
      }
      exponentiate(row, columns, static_cast<float>(state[kLargest]));
      const auto factor = static_cast<float>(scale / state[kSum]);
      for (std::int64_t t = 0; t < columns; ++t) row[t] = row[t] * factor - even;
      const std::int64_t column = column_of(target, items, columns);
      if (column >= 0) row[column] -= sharp;
    }
  });
}

}  // namespace seqrank::cpu
