// Scores of query-dependent additive attention, w . act(k_j + q), over the keys of one sequence:
// what its soft and hard forms and its candidates share. Knows no operator.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "backend/cpu/vector_math.h"
#include "backend/tensor.h"

namespace seqrank::cpu {

struct Tanh {
  static float value(float x) { return fast_tanh(x); }
  static float slope(float y) { return 1.0f - y * y; }  // from the result
};
struct Relu {
  static float value(float x) { return x > 0.0f ? x : 0.0f; }
  static float slope(float y) { return y > 0.0f ? 1.0f : 0.0f; }
};

// to [columns, rows] = from [rows, columns]^T.
inline void transpose(float* to, const float* from, std::int64_t rows, std::int64_t columns) {
  for (std::int64_t c = 0; c < columns; ++c) {
    for (std::int64_t r = 0; r < rows; ++r) to[c * rows + r] = from[r * columns + c];
  }
}

inline std::int64_t longest(const Tensor& offset_B1) {
  const std::int32_t* offset = offset_B1.data<std::int32_t>();
  std::int64_t longest = 0;
  for (std::int64_t b = 0; b + 1 < offset_B1.numel(); ++b) {
    longest = std::max<std::int64_t>(longest, offset[b + 1] - offset[b]);
  }
  return longest;
}

// score_J = w . act(k_j + q), keys [A, L], the first `count` of them. act_AL: where given, receives
// act(k_j + q).
template <class Act>
void scores(float* score_J, float* act_AL, const float* key_AL, const float* q_A, const float* w_A,
            std::int64_t width, std::int64_t length, std::int64_t count) {
  std::fill_n(score_J, count, 0.0f);
  for (std::int64_t a = 0; a < width; ++a) {
    const float w = w_A[a], q = q_A[a];
    const float* key = key_AL + a * length;
    if (act_AL == nullptr) {
#pragma omp simd
      for (std::int64_t j = 0; j < count; ++j) score_J[j] += w * Act::value(key[j] + q);
    } else {
      float* act = act_AL + a * length;
#pragma omp simd
      for (std::int64_t j = 0; j < count; ++j) {
        act[j] = Act::value(key[j] + q);
        score_J[j] += w * act[j];
      }
    }
  }
}

// Turns scores into softmax weights; returns the log of the sum of exp(score).
inline float softmax(float* score_J, std::int64_t count) {
  float max = score_J[0], sum = 0;
  for (std::int64_t j = 1; j < count; ++j) max = std::max(max, score_J[j]);
#pragma omp simd reduction(+ : sum)
  for (std::int64_t j = 0; j < count; ++j) {
    score_J[j] = fast_exp(score_J[j] - max);
    sum += score_J[j];
  }
  const float factor = 1.0f / sum;
#pragma omp simd
  for (std::int64_t j = 0; j < count; ++j) score_J[j] *= factor;
  return max + std::log(sum);
}

// y [columns] += a x.
inline void add_scaled(float* y, float a, const float* x, std::int64_t columns) {
#pragma omp simd
  for (std::int64_t d = 0; d < columns; ++d) y[d] += a * x[d];
}

}  // namespace seqrank::cpu
