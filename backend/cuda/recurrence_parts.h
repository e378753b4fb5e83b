// What a block of recurrence_steps.cu is made of: its sequence, its threads' shares of the weights
// of the states, and the products with them. Knows neither cells nor time.
#pragma once

#include "backend/cuda/elements.h"
#include "backend/cuda/number.h"

namespace seqrank::cuda {

// The events of this block's sequence; blocks in the order of step 0: the longest begins first.
struct SequenceEvents {
  std::int64_t first;
  int length;
};
__device__ inline SequenceEvents events_of_block(const std::int32_t* offset_B1, int sequences,
                                                 const std::int32_t* time_order_N) {
  SHARED_ARRAY(std::int32_t, end_, 1);
  const std::int32_t first = time_order_N[blockIdx.x];
  for (int b = threadIdx.x; b < sequences; b += blockDim.x)
    if (offset_B1[b] <= first && first < offset_B1[b + 1]) end_[0] = offset_B1[b + 1];
  __syncthreads();
  return {first, end_[0] - first};
}

// How threads share out a product with the weights: a group of `lanes` neighbouring threads makes
// `units` outputs, of each gate where gates are outputs. Thread p of a group has the columns
// 4 (i lanes + p) .. + 3, i < chunks, of each gate. Of a unit's sum, lanes / units threads are
// left.
template <int gates_, int units_, int lanes_, int chunks_>
struct Share {
  static constexpr int gates = gates_, units = units_, lanes = lanes_, chunks = chunks_;
  static constexpr int owners = lanes / units;
  static constexpr int columns = 4 * lanes * chunks;  // of the widest layer
  // Chunks that a thread keeps in registers: as many as leave room for the rest. Those behind them
  // lie in shared memory.
  static constexpr int most_kept = (gates == 4 ? 128 : 144) / (4 * gates * units);
  static constexpr int kept = chunks < most_kept ? chunks : most_kept;

  static LaunchShape launch_shape(std::int64_t sequences, std::int64_t width) {
    const auto threads =
        static_cast<unsigned>(((width + units - 1) / units * lanes + 31) / 32 * 32);
    return {static_cast<unsigned>(sequences), threads,
            sizeof(float4) * (chunks - kept) * gates * units * threads};
  }
};

// Where a thread stands in its block.
template <class Share>
struct Place {
  __device__ explicit Place(int width)
      : lane(threadIdx.x % Share::lanes),
        first_unit(threadIdx.x / Share::lanes * Share::units),
        unit(first_unit + lane / Share::owners),
        owner(lane % Share::owners),
        active(unit < width) {}
  // Whether this thread writes the i-th number of its unit: its owners take turns.
  __device__ bool writes(int i) const { return active && i % Share::owners == owner; }

  int lane, first_unit;
  int unit, owner;  // whose sum it gets, and which of the threads it is that get it
  bool active;
};

// A thread's weights.
template <class Share>
class Weights {
 public:
  // element(gate, output, column); `room`: of the block, for what is not kept in registers.
  template <class Element>
  __device__ Weights(float4* room, const Place<Share>& place, Element element) : room_(room) {
    const auto four = [&](int chunk, int gate, int unit) -> float4 {
      const int output = place.first_unit + unit, c = 4 * (chunk * Share::lanes + place.lane);
      return {element(gate, output, c), element(gate, output, c + 1), element(gate, output, c + 2),
              element(gate, output, c + 3)};
    };
#pragma unroll 1
    for (int chunk = Share::kept; chunk < Share::chunks; ++chunk)
#pragma unroll
      for (int gate = 0; gate < Share::gates; ++gate)
#pragma unroll
        for (int unit = 0; unit < Share::units; ++unit)
          room_[index(chunk, gate, unit)] = four(chunk, gate, unit);
#pragma unroll
    for (int chunk = 0; chunk < Share::kept; ++chunk)
#pragma unroll
      for (int gate = 0; gate < Share::gates; ++gate)
#pragma unroll
        for (int unit = 0; unit < Share::units; ++unit)
          kept_[chunk][gate][unit] = four(chunk, gate, unit);
  }
  __device__ float4 kept(int chunk, int gate, int unit) const {
    return kept_[chunk][gate][unit];
  }
  __device__ float4 shared(int chunk, int gate, int unit) const {
    return room_[index(chunk, gate, unit)];
  }

 private:
  __device__ static unsigned index(int chunk, int gate, int unit) {
    const int before = ((chunk - Share::kept) * Share::gates + gate) * Share::units + unit;
    return static_cast<unsigned>(before) * blockDim.x + threadIdx.x;
  }
  float4 kept_[Share::kept][Share::gates][Share::units];
  float4* room_;
};

// The sums over the `lanes` threads of a group of v[0], v[1], ...: thread p gets that of
// v[p / (lanes / units)]; the threads of one sum get the same bits.
template <int units, int lanes>
__device__ inline float summed_over(const float (&v)[units], int lane) {
  if constexpr (lanes == 1) {
    return v[0];
  } else if constexpr (units == 1) {
    const float both[1] = {v[0] + __shfl_xor_sync(kFullWarp, v[0], lanes / 2)};
    return summed_over<1, lanes / 2>(both, lane);
  } else {
    const bool upper = (lane & (lanes / 2)) != 0;
    float half[units / 2];
#pragma unroll
    for (int i = 0; i < units / 2; ++i) {
      const float mine = upper ? v[units / 2 + i] : v[i], other = upper ? v[i] : v[units / 2 + i];
      half[i] = mine + __shfl_xor_sync(kFullWarp, other, lanes / 2);
    }
    return summed_over<units / 2, lanes / 2>(half, lane);
  }
}

__device__ inline void add_product(float& sum, float4 a, float4 b) {
  sum += a.x * b.x;
  sum += a.y * b.y;
  sum += a.z * b.z;
  sum += a.w * b.w;
}

template <class Share>
using Sums = float[Share::gates][Share::units];

// sum[gate][unit] += what this thread's weights add. vector(gate, chunk): the float4 that they
// multiply. Chunks in shared memory one by one: all at once would want more registers than there
// are.
template <class Share, class Vector>
__device__ inline void multiply_add(Sums<Share>& sum, const Weights<Share>& weights,
                                    Vector vector) {
#pragma unroll
  for (int chunk = 0; chunk < Share::kept; ++chunk)
#pragma unroll
    for (int gate = 0; gate < Share::gates; ++gate) {
      const float4 v = vector(gate, chunk);
#pragma unroll
      for (int unit = 0; unit < Share::units; ++unit)
        add_product(sum[gate][unit], weights.kept(chunk, gate, unit), v);
    }
#pragma unroll 1
  for (int chunk = Share::kept; chunk < Share::chunks; ++chunk)
#pragma unroll
    for (int gate = 0; gate < Share::gates; ++gate) {
      const float4 v = vector(gate, chunk);
#pragma unroll
      for (int unit = 0; unit < Share::units; ++unit)
        add_product(sum[gate][unit], weights.shared(chunk, gate, unit), v);
    }
}

// u[gate] = W_h h + u[gate], of this thread's unit. `h`: Share::columns floats, zeros behind the
// width.
template <class Share>
__device__ inline void multiply(float (&u)[Share::gates], const Weights<Share>& weights,
                                const float4* h, const Place<Share>& place) {
  Sums<Share> sum = {};
  multiply_add(sum, weights, [&](int, int chunk) { return h[chunk * Share::lanes + place.lane]; });
#pragma unroll
  for (int gate = 0; gate < Share::gates; ++gate)
    u[gate] += summed_over<Share::units, Share::lanes>(sum[gate], place.lane);
}

// W_h^T d of this thread's unit. `d`: gates of Share::columns floats, zeros behind the width.
template <class Share>
__device__ inline float multiply_transposed(const Weights<Share>& weights, const float4* d,
                                            const Place<Share>& place) {
  Sums<Share> part = {};
  multiply_add(part, weights, [&](int gate, int chunk) {
    return d[(gate * Share::chunks + chunk) * Share::lanes + place.lane];
  });
  float sum[Share::units];
#pragma unroll
  for (int unit = 0; unit < Share::units; ++unit) {
    sum[unit] = part[0][unit];
#pragma unroll
    for (int gate = 1; gate < Share::gates; ++gate) sum[unit] += part[gate][unit];
  }
  return summed_over<Share::units, Share::lanes>(sum, place.lane);
}

template <class T>
__device__ inline float rounded(float x) {
  return to_float(from_float<T>(x));
}

}  // namespace seqrank::cuda
