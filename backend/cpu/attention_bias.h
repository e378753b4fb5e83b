// What attention adds to the scores of one query, from tables by distance and by time, and the way
// of the scores' gradients back into these tables, by way of parts, one a worker: one order of
// summing at any number of threads. Buckets are those of ops/attention.h.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstdlib>

#include "backend/ops/attention.h"

namespace seqrank::cpu {

class AttentionBiasTables {
 public:
  AttentionBiasTables(const AttentionBias& bias, AttentionMask mask)
      : position_(bias.position_HR ? bias.position_HR.data<float>() : nullptr),
        time_table_(bias.time_HT ? bias.time_HT.data<float>() : nullptr),
        time_(bias.time_N ? bias.time_N.data<std::int64_t>() : nullptr),
        distances_(bias.position_HR ? bias.position_HR.dim(1) : 0),
        times_(bias.time_HT ? bias.time_HT.dim(1) : 0),
        mask_(mask) {}

  std::int64_t distances() const { return distances_; }
  std::int64_t columns() const { return distances_ + times_; }

  // score_S [keys] of query i of the sequence whose first event is `first`.
  void add(float* score_S, std::int64_t first, std::int64_t head, std::int64_t i,
           std::int64_t keys) const {
    if (position_ != nullptr) {
      const float* table = position_ + head * distances_;
      for (std::int64_t j = 0; j < keys; ++j) score_S[j] += table[distance_bucket(i - j)];
    }
    if (time_ != nullptr) {
      const float* table = time_table_ + head * times_;
      for (std::int64_t j = 0; j < keys; ++j)
        score_S[j] += table[time_bucket(first + i, first + j)];
    }
  }

  // dtable [distances, then times] += the gradients of the scores of query i.
  void add_gradients(float* dtable, const float* dscore_S, std::int64_t first, std::int64_t i,
                     std::int64_t keys) const {
    if (position_ != nullptr)
      for (std::int64_t j = 0; j < keys; ++j) dtable[distance_bucket(i - j)] += dscore_S[j];
    if (time_ != nullptr)
      for (std::int64_t j = 0; j < keys; ++j)
        dtable[distances_ + time_bucket(first + i, first + j)] += dscore_S[j];
  }

 private:
  std::int64_t distance_bucket(std::int64_t distance) const {
    if (mask_ == AttentionMask::causal) return std::min(distance, distances_ - 1);
    const std::int64_t centre = distances_ / 2;
    return std::clamp(distance, -centre, centre) + centre;
  }
  std::int64_t time_bucket(std::int64_t n, std::int64_t m) const {
    const auto apart = static_cast<std::uint64_t>(std::abs(time_[n] - time_[m]));
    return std::min<std::int64_t>(std::bit_width(1 + apart) - 1, times_ - 1);
  }

  const float *position_, *time_table_;
  const std::int64_t* time_;
  std::int64_t distances_, times_;
  AttentionMask mask_;
};

// Adds to each head's row of dtable_HX the columns from `begin` on of its parts, in order; part has
// a row for each piece of work, of head piece % heads. Absent: nothing is wanted.
inline void add_parts(Tensor& dtable_HX, const Tensor& part, std::int64_t begin) {
  if (!dtable_HX) return;
  const std::int64_t heads = dtable_HX.dim(0), width = dtable_HX.dim(1), all = part.dim(1);
  for (std::int64_t piece = 0; piece < part.dim(0); ++piece) {
    const float* from = part.data<float>() + piece * all + begin;
    float* to = dtable_HX.data<float>() + piece % heads * width;
    for (std::int64_t r = 0; r < width; ++r) to[r] += from[r];
  }
}

}  // namespace seqrank::cpu
