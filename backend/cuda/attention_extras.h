// What the scores and probabilities of attention may have besides the products: biases by distance
// and time, dropout. One pair of events at a time, or one fragment of mma.m16n8k16 (its lanes:
// attention_parts.h).
#pragma once

#include "backend/cuda/attention.h"
#include "backend/philox.h"
#include "device_code.h"

namespace seqrank::cuda::attention {

// Whether a kernel knows of them: most calls have none.
enum class Extras { none, some };

// Whose rows a warp holds: the columns are then the other's.
enum class Side { query, key };

// Of one head of one sequence; i and j are positions in it.
class Bias {
 public:
  __device__ __forceinline__ Bias()
      : distances_(0),
        times_(0),
        centre_(0),
        position_(nullptr),
        time_table_(nullptr),
        time_(nullptr) {}
  __device__ __forceinline__ Bias(const AttentionNumbers& x, int head, int first,
                                  const float* position_HR, const float* time_HT,
                                  const std::int64_t* time_N)
      : distances_(x.distances),
        times_(x.times),
        centre_(x.causal ? 0 : x.distances / 2),
        position_(position_HR + head * x.distances),
        time_table_(time_HT + head * x.times),
        time_(time_N == nullptr ? nullptr : time_N + first) {}

  __device__ __forceinline__ bool any() const { return distances_ > 0 || times_ > 0; }
  __device__ __forceinline__ int distances() const { return distances_; }
  __device__ __forceinline__ int times() const { return times_; }
  __device__ __forceinline__ int centre() const { return centre_; }
  __device__ __forceinline__ int time_bucket(int i, int j) const {
    const std::int64_t apart = time_[i] - time_[j];
    const auto seconds = static_cast<std::uint64_t>(apart < 0 ? -apart : apart) + 1;
    const auto high = static_cast<int>(seconds >> 32);
    const int bits = high != 0 ? 63 - __clz(high) : 31 - __clz(static_cast<int>(seconds));
    return min(bits, times_ - 1);
  }
  // Both events are in the sequence.
  __device__ __forceinline__ float at(int i, int j) const {
    float sum = 0;
    if (distances_ > 0) sum += position_[min(max(i - j + centre_, 0), distances_ - 1)];
    if (times_ > 0) sum += time_table_[time_bucket(i, j)];
    return sum;
  }

 private:
  int distances_, times_, centre_;
  const float *position_, *time_table_;
  const std::int64_t* time_;
};

class Dropout {
 public:
  __device__ __forceinline__ Dropout(const AttentionNumbers& x, int sequence, int head,
                                     const std::int64_t* place_B)
      : seed_(x.seed),
        place_(x.threshold == 0 ? 0 : static_cast<std::uint64_t>(place_B[sequence])),
        last_(x.layer << 24 | static_cast<std::uint32_t>(head) << 16),
        threshold_(x.threshold) {}

  __device__ __forceinline__ bool any() const { return threshold_ > 0; }
  // Bit l: whether the pair of query i and key 4 group + l is kept.
  __device__ __forceinline__ unsigned kept(int i, int group) const {
    const Philox4 words =
        philox(seed_, Purpose::attention_dropout,
               {static_cast<std::uint32_t>(place_), static_cast<std::uint32_t>(place_ >> 32),
                static_cast<std::uint32_t>(i), last_ | static_cast<std::uint32_t>(group)});
    unsigned bits = 0;
    for (int l = 0; l < 4; ++l) bits |= (words[l] >> 8 >= threshold_ ? 1u : 0u) << l;
    return bits;
  }

  // Of the four elements of a lane's fragment whose first row and column are given (multiples of
  // 8); all lanes of the warp take part. A call of kept() serves four elements, of several lanes,
  // so each lane makes one and they exchange.
  template <Side kSide>
  __device__ __forceinline__ unsigned kept_of_fragment(int row, int column) const {
    const unsigned lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
    if constexpr (kSide == Side::query) {
      // Two lanes share the four keys; one makes the upper row's, the other the lower row's.
      const unsigned mine = kept(row + g + 8 * (t % 2), column / 4 + t / 2);
      const unsigned other = __shfl_xor_sync(~0u, mine, 1);
      const unsigned upper = t % 2 == 0 ? mine : other, lower = t % 2 == 0 ? other : mine;
      const unsigned shift = t % 2 * 2;
      return (upper >> shift & 3u) | (lower >> shift & 3u) << 2;
    } else {
      // Four lanes (of four keys) share four calls: two groups of keys by two queries.
      const unsigned m = g % 4;
      unsigned all = kept(column + 2 * t + m % 2, (row + g + 8 * (m / 2)) / 4) << 4 * m;
      all |= __shfl_xor_sync(~0u, all, 4);
      all |= __shfl_xor_sync(~0u, all, 8);
      const unsigned mine = all >> m;  // bits 0, 4, 8, 12
      return (mine & 1u) | (mine >> 3 & 2u) | (mine >> 6 & 4u) | (mine >> 9 & 8u);
    }
  }

 private:
  std::uint64_t seed_, place_;
  std::uint32_t last_, threshold_;
};

}  // namespace seqrank::cuda::attention
