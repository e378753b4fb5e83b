// Multi-head attention forward on tensor cores: 16-bit operands, fp32 sums, online softmax. A block
// has one head of one sequence and 16 queries a warp; it goes through the keys in tiles, each read
// while the tile before is multiplied. Tiles end where the sequence or its past ends, by groups of
// 16: nothing is padded but shared memory.
#include "backend/cuda/attention_extras.h"
#include "backend/cuda/attention_parts.h"
#include "backend/cuda/runtime.h"
#include "launch.h"

namespace seqrank::cuda {
namespace {

using namespace attention;

// Online softmax of a warp's rows; each lane holds what concerns its two.
template <int kWidth>
struct Running {
  float o[kWidth / 8][4];  // sum of p v
  float max[2], sum[2];    // of the scores, in units of `unit` below; of p
};

// s [16, 8 kBlocks] becomes p = 2^(unit (s - max)).
template <int kWidth, int kBlocks>
__device__ __forceinline__ void online_softmax(Running<kWidth>& r, float (&s)[kBlocks][4],
                                               float unit) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float max = r.max[half];
#pragma unroll
    for (int n = 0; n < kBlocks; ++n) max = fmaxf(max, fmaxf(s[n][2 * half], s[n][2 * half + 1]));
    max = fmaxf(max, __shfl_xor_sync(~0u, max, 1));
    max = fmaxf(max, __shfl_xor_sync(~0u, max, 2));
    const float shift = max == -INFINITY ? 0.f : max * unit;  // a row that has seen nothing yet
    const float fade = exp2_fast(r.max[half] * unit - shift);
    r.max[half] = max;
    float sum = 0;
#pragma unroll
    for (int n = 0; n < kBlocks; ++n) {
#pragma unroll
      for (int e = 2 * half; e < 2 * half + 2; ++e) {
        s[n][e] = exp2_fast(s[n][e] * unit - shift);
        sum += s[n][e];
      }
    }
    r.sum[half] = r.sum[half] * fade + sum;
#pragma unroll
    for (int d = 0; d < kWidth / 8; ++d) {
      r.o[d][2 * half] *= fade;
      r.o[d][2 * half + 1] *= fade;
    }
  }
}

// Scores of keys that a query does not see become -infinity; biases are added in units of log2.
template <Extras kExtras, int kBlocks>
__device__ __forceinline__ void finish_scores(float (&s)[kBlocks][4], const AttentionNumbers& x,
                                              const Bias& bias, int length, int row, int key) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int n = 0; n < kBlocks; ++n) {
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      const int i = row + lane / 4 + 8 * (e / 2), j = key + 8 * n + lane % 4 * 2 + e % 2;
      const bool seen = j < length && (!x.causal || j <= i);
      if constexpr (kExtras == Extras::some) {
        s[n][e] *= x.scale * kLog2e;
        if (bias.any() && seen && i < length) s[n][e] += bias.at(i, j) * kLog2e;
      }
      if (!seen) s[n][e] = -INFINITY;
    }
  }
}

template <int kBlocks, class Some>
__device__ __forceinline__ void drop(float (&p)[kBlocks][4], const Dropout& dropout, int row,
                                     int key, Some groups) {
#pragma unroll
  for (int n = 0; n < kBlocks; ++n) {
    if (!groups.has(n / 2)) continue;
    const unsigned kept = dropout.kept_of_fragment<Side::query>(row, key + 8 * n);
#pragma unroll
    for (int e = 0; e < 4; ++e) p[n][e] = (kept >> e & 1u) != 0 ? p[n][e] : 0.f;
  }
}

template <int kWidth, int kWarps, int kKeys>
constexpr std::size_t forward_shared() {
  return (16 * kWarps + 2 * kKeys) * kRow<kWidth> * sizeof(std::uint16_t);
}

// grid: {sequences, heads, tiles of 16 kWarps queries}.
template <class T, int kWidth, int kWarps, int kKeys, Extras kExtras>
__global__ void __launch_bounds__(kWarps * 32, (kWidth <= 64 ? 16 : 12) / kWarps)
    attention_forward_kernel(AttentionNumbers x, float* o_wide, std::uint16_t* o_16, float* lse_NH,
                             const std::byte* q_NHK, const std::byte* k_NHK, const std::byte* v_NHK,
                             const std::int32_t* offset_B1, const float* position_HR,
                             const float* time_HT, const std::int64_t* time_N,
                             const std::int64_t* place_B) {
  constexpr int kQueries = 16 * kWarps, kThreads = 32 * kWarps, kBlocks = kKeys / 8;
  DYNAMIC_SHARED(std::uint16_t, q_tile);
  std::uint16_t *k_tile = q_tile + kQueries * kRow<kWidth>, *v_tile = k_tile + kKeys * kRow<kWidth>;
  const Place p = place_of(offset_B1, blockIdx.x, blockIdx.y);
  // The tiles that see most start first.
  const int first_query = static_cast<int>(gridDim.z - 1 - blockIdx.z) * kQueries;
  if (first_query >= p.length) return;
  const int row = first_query + static_cast<int>(threadIdx.x) / 32 * 16;
  const int all_keys = x.causal ? min(p.length, first_query + kQueries) : p.length;
  const int seen_keys = row >= p.length ? 0 : x.causal ? min(p.length, row + 16) : p.length;

  load_tile<T, kQueries, kWidth, kThreads>(q_tile, x, p, q_NHK, first_query);
  load_tile<T, kKeys, kWidth, kThreads>(k_tile, x, p, k_NHK, 0);
  copy_commit();
  load_tile<T, kKeys, kWidth, kThreads>(v_tile, x, p, v_NHK, 0);
  copy_commit();
  copy_wait<1>();
  __syncthreads();

  const Bias bias(x, p.head, p.first, position_HR, time_HT, time_N);
  const Dropout dropout(x, p.sequence, p.head, place_B);
  const float unit = kExtras == Extras::some ? 1.f : x.scale * kLog2e;
  Rows<kWidth> queries;
  queries.open(q_tile, static_cast<int>(threadIdx.x) / 32 * 16);
  Running<kWidth> r = {{}, {-INFINITY, -INFINITY}, {}};
  for (int key = 0; key < all_keys; key += kKeys) {
    if (key > 0) {
      copy_wait<0>();
      __syncthreads();  // this k is there, and nobody reads the last v
      load_tile<T, kKeys, kWidth, kThreads>(v_tile, x, p, v_NHK, key);
      copy_commit();
    }
    float s[kBlocks][4] = {};
    const bool inside = kExtras == Extras::none && key + kKeys <= (x.causal ? row + 1 : p.length) &&
                        key + kKeys <= seen_keys;
    const Groups groups = {0, (seen_keys - key + 15) / 16};
    if (inside)
      multiply_transposed<T, kWidth>(s, queries, k_tile, AllGroups());
    else
      multiply_transposed<T, kWidth>(s, queries, k_tile, groups);
    copy_wait<0>();
    __syncthreads();  // this v is there, and nobody reads this k
    if (key + kKeys < all_keys) {
      load_tile<T, kKeys, kWidth, kThreads>(k_tile, x, p, k_NHK, key + kKeys);
      copy_commit();
    }
    if (key >= seen_keys) continue;
    if (!inside) finish_scores<kExtras>(s, x, bias, p.length, row, key);
    online_softmax(r, s, unit);
    if (kExtras == Extras::some && dropout.any()) drop(s, dropout, row, key, groups);
    if (inside)
      multiply<T, kWidth>(r.o, s, v_tile, AllGroups());
    else
      multiply<T, kWidth>(r.o, s, v_tile, groups);
  }

  const int lane = threadIdx.x % 32;
  float factor[2];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float sum = r.sum[half];
    sum += __shfl_xor_sync(~0u, sum, 1);
    sum += __shfl_xor_sync(~0u, sum, 2);
    factor[half] = x.kept / sum;
    const int i = row + lane / 4 + 8 * half;
    if (lane % 4 == 0 && i < p.length)
      lse_NH[row_at(x, p, i)] = (r.max[half] * unit + log2f(sum)) * kLn2;
  }
  store_rows<T, kWidth>(o_wide, o_16, x, p, row, r.o, factor);
}

template <class T, int kWidth, int kWarps, int kKeys, Extras kExtras>
void launch_forward(Context& ctx, const AttentionOperands& x, Tensor& o_NHK, Tensor& lse_NH) {
  const LaunchShape shape = {
      dim3(static_cast<unsigned>(x.sequences()), static_cast<unsigned>(x.numbers.heads),
           static_cast<unsigned>(x.tiles(16 * kWarps))),
      32 * kWarps, forward_shared<kWidth, kWarps, kKeys>()};
  launch<attention_forward_kernel<T, kWidth, kWarps, kKeys, kExtras>>(
      shape, stream_of(ctx), x.numbers, out_wide(o_NHK), out_16(o_NHK), out<float>(lse_NH),
      in_bytes(x.q_NHK), in_bytes(x.k_NHK), in_bytes(x.v_NHK), in<std::int32_t>(x.offset_B1),
      in<float>(x.bias.position_HR), in<float>(x.bias.time_HT), in<std::int64_t>(x.bias.time_N),
      in<std::int64_t>(x.place_B));
}

template <class T, int kWidth>
void forward_of_width(Context& ctx, const AttentionOperands& x, Tensor& o_NHK, Tensor& lse_NH) {
  if (x.numbers.extras())
    launch_forward<T, kWidth, 4, 64, Extras::some>(ctx, x, o_NHK, lse_NH);
  else if (x.short_ones())
    launch_forward<T, kWidth, 2, 32, Extras::none>(ctx, x, o_NHK, lse_NH);
  else
    launch_forward<T, kWidth, 4, 64, Extras::none>(ctx, x, o_NHK, lse_NH);
}

template <class T>
void forward_of_type(Context& ctx, const AttentionOperands& x, Tensor& o_NHK, Tensor& lse_NH) {
  if (x.numbers.width <= 16)
    forward_of_width<T, 16>(ctx, x, o_NHK, lse_NH);
  else if (x.numbers.width <= 32)
    forward_of_width<T, 32>(ctx, x, o_NHK, lse_NH);
  else if (x.numbers.width <= 64)
    forward_of_width<T, 64>(ctx, x, o_NHK, lse_NH);
  else
    forward_of_width<T, 128>(ctx, x, o_NHK, lse_NH);
}

}  // namespace

void attention_16(Context& ctx, DType type, const AttentionOperands& x, Tensor& o_NHK,
                  Tensor& lse_NH) {
  if (type == DType::bf16)
    forward_of_type<__nv_bfloat16>(ctx, x, o_NHK, lse_NH);
  else
    forward_of_type<__half>(ctx, x, o_NHK, lse_NH);
}

}  // namespace seqrank::cuda
