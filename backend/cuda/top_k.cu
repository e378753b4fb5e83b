// Ranking on a CUDA device: a block a row of scores. Bound by memory, 4 bytes a score and reading
// of the row: once for rank_of(), five times for top_k() where no equal scores lie across its edge,
// else at most nine; the readings after the first come from the cache where a row fits there.
// top_k() sorts nothing but the K it has found: it narrows down the K-th best key, a byte at a
// time, by counting; and K steps for each of the K give their places. Meant for K up to some
// thousands.
#include <cmath>

#include "backend/cuda/elements.h"
#include "backend/cuda/kernels.h"
#include "backend/cuda/runtime.h"
#include "device_code.h"

namespace seqrank::cuda {
namespace {

constexpr int kDigits = 256;  // of a byte; a thread a digit
static_assert(kDigits == kThreads);

// Greater for a better item: the score's bits, made to rise with the score, then the id's, made to
// fall. 0 for what is never among the best: -inf and NaN.
__device__ std::uint64_t key_of(float score, std::int64_t id) {
  if (!(score > -INFINITY)) return 0;
  const std::uint32_t bits = __float_as_uint(score + 0.f);  // -0 and 0 are equal
  const std::uint32_t rising = (bits >> 31) != 0 ? ~bits : bits | 0x80000000u;
  return static_cast<std::uint64_t>(rising) << 32 | (0xffffffffu - static_cast<std::uint32_t>(id));
}

// Sum over this thread and those before it.
__device__ unsigned block_prefix_sum(unsigned value) {
  SHARED_ARRAY(unsigned, of_warp, kThreads / 32);
  for (unsigned step = 1; step < 32; step *= 2) {
    const unsigned before = __shfl_up_sync(kFullWarp, value, step);
    if (lane_index() >= static_cast<int>(step)) value += before;
  }
  if (lane_index() == 31) of_warp[threadIdx.x / 32] = value;
  __syncthreads();
  for (unsigned warp = 0; warp < threadIdx.x / 32; ++warp) value += of_warp[warp];
  return value;
}

struct Threshold {
  std::uint64_t least;  // key of the worst that is taken
  unsigned taken;       // how many keys are not less; at most k
};

// By counting the keys that begin with the bytes known so far by their next byte.
__device__ Threshold find_threshold(const float* score_V, std::int64_t items, unsigned k) {
  SHARED_ARRAY(unsigned, count, kDigits);
  SHARED_ARRAY(unsigned, chosen, 3);  // the digit, how many keys have a greater one, how many it
  std::uint64_t known = 0;
  unsigned greater = 0;  // keys greater than all that begin with the known bytes
  for (int shift = 56; shift >= 0; shift -= 8) {
    count[threadIdx.x] = 0;
    if (threadIdx.x == 0) chosen[0] = kDigits;
    __syncthreads();
    for (std::int64_t v = threadIdx.x; v < items; v += kThreads) {
      const std::uint64_t key = key_of(score_V[v], v);
      if (key != 0 && ((key ^ known) >> shift >> 8) == 0)
        atomicAdd(&count[key >> shift & (kDigits - 1)], 1u);
    }
    __syncthreads();
    const unsigned digit = kDigits - 1 - threadIdx.x;  // the greatest first
    const unsigned mine = count[digit];
    const unsigned up_to_mine = greater + block_prefix_sum(mine);
    if (up_to_mine >= k && up_to_mine - mine < k) {
      chosen[0] = digit;
      chosen[1] = up_to_mine - mine;
      chosen[2] = mine;
    }
    // Fewer than k in all, which the first byte shows: the last thread has counted them.
    if (threadIdx.x == kThreads - 1 && up_to_mine < k) chosen[1] = up_to_mine;
    __syncthreads();
    if (chosen[0] == kDigits) return {1, chosen[1]};
    known |= static_cast<std::uint64_t>(chosen[0]) << shift;
    greater = chosen[1];
    const bool exact = greater + chosen[2] == k;
    __syncthreads();
    if (exact) break;
  }
  return {max(known, std::uint64_t{1}), k};  // never 0, the key of what is not wanted
}

__global__ void top_k_kernel(float* value_BK, std::int32_t* id_BK, std::uint64_t* found_BK,
                             const float* score_BV, std::int64_t items, std::int64_t k) {
  SHARED_ARRAY(unsigned, next, 1);
  const std::int64_t b = blockIdx.x;
  const float* score_V = score_BV + b * items;
  std::uint64_t* found_K = found_BK + b * k;
  if (threadIdx.x == 0) next[0] = 0;
  const Threshold threshold = find_threshold(score_V, items, static_cast<unsigned>(k));
  // In any order: their places come from their keys, of which no two are equal.
  for (std::int64_t v = threadIdx.x; v < items; v += kThreads) {
    const std::uint64_t key = key_of(score_V[v], v);
    if (key >= threshold.least) found_K[atomicAdd(&next[0], 1u)] = key;
  }
  __syncthreads();
  for (std::int64_t i = threadIdx.x; i < k; i += kThreads) {
    std::int64_t place = i, id = -1;
    if (i < threshold.taken) {
      const std::uint64_t key = found_K[i];
      place = 0;
      for (unsigned j = 0; j < threshold.taken; ++j) place += found_K[j] > key ? 1 : 0;
      id = 0xffffffffu - static_cast<std::uint32_t>(key);
    }
    value_BK[b * k + place] = id < 0 ? -INFINITY : score_V[id];
    id_BK[b * k + place] = static_cast<std::int32_t>(id);
  }
}

// What is not below the target is above or the same, NaN among it; the target itself is 1.
__global__ void rank_kernel(std::int32_t* rank_B, std::int32_t* tied_B, const float* score_BV,
                            const std::int32_t* target_B, std::int64_t items) {
  const std::int64_t b = blockIdx.x;
  const float* score_V = score_BV + b * items;
  const float target = score_V[target_B[b]];
  int below = 0, same = 0;
#pragma unroll 4
  for (std::int64_t v = threadIdx.x; v < items; v += kThreads) {
    below += score_V[v] < target ? 1 : 0;
    same += score_V[v] == target ? 1 : 0;
  }
  below = block_sum(below);
  same = block_sum(same);
  if (threadIdx.x != 0) return;
  rank_B[b] = static_cast<std::int32_t>(items) - below;
  tied_B[b] = max(same - 1, 0);  // a NaN target equals not even itself
}

__global__ void mask_kernel(float* score_BV, const std::int32_t* item_M,
                            const std::int32_t* offset_B1, const std::int32_t* keep_B,
                            std::int64_t items) {
  const std::int64_t b = blockIdx.x;
  const std::int32_t keep = keep_B == nullptr ? -1 : keep_B[b];
  float* score_V = score_BV + b * items;
  // An item may be there several times: the exchange lets several threads write what is the same.
  for (std::int32_t m = offset_B1[b] + static_cast<std::int32_t>(threadIdx.x); m < offset_B1[b + 1];
       m += kThreads)
    if (item_M[m] != keep) atomicExch(&score_V[item_M[m]], -INFINITY);
}

LaunchShape block_a_row(std::int64_t rows) {
  return {static_cast<unsigned>(rows), kThreads};
}

}  // namespace

void top_k(Context& ctx, Tensor& value_BK, Tensor& id_BK, const Tensor& score_BV) {
  const std::int64_t rows = score_BV.dim(0), k = value_BK.dim(1);
  if (k == 0) return;
  Tensor found_BK = ctx.empty(DType::i64, {rows, k}, Tag::workspace);
  launch<top_k_kernel>(block_a_row(rows), stream_of(ctx), out<float>(value_BK),
                       out<std::int32_t>(id_BK), update<std::uint64_t>(found_BK),
                       in<float>(score_BV), score_BV.dim(1), k);
}

void rank_of(Context& ctx, Tensor& rank_B, Tensor& tied_B, const Tensor& score_BV,
             const Tensor& target_B) {
  launch<rank_kernel>(block_a_row(score_BV.dim(0)), stream_of(ctx), out<std::int32_t>(rank_B),
                      out<std::int32_t>(tied_B), in<float>(score_BV), in<std::int32_t>(target_B),
                      score_BV.dim(1));
}

void mask_items(Context& ctx, Tensor& score_BV, const Tensor& item_M, const Tensor& offset_B1,
                const Tensor& keep_B) {
  launch<mask_kernel>(block_a_row(score_BV.dim(0)), stream_of(ctx), update<float>(score_BV),
                      in<std::int32_t>(item_M), in<std::int32_t>(offset_B1),
                      in<std::int32_t>(keep_B), score_BV.dim(1));
}

}  // namespace seqrank::cuda
