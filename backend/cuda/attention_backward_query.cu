// Multi-head attention backward on tensor cores, the queries' side: dq, delta = dO . O, and what a
// block has of the tables' gradients. A block has one head of one sequence and 16 queries a warp,
// and goes through the keys. The keys' side is a kernel of its own (attention_backward_key.cu), so
// that nothing is added by atomics.
#include "backend/cuda/attention_backward.h"
#include "backend/cuda/attention_tables.h"
#include "backend/cuda/runtime.h"
#include "launch.h"

namespace seqrank::cuda {
namespace {

using namespace attention;

// Of one event, from column d on.
template <class T>
__device__ __forceinline__ void load_eight(float2 (&to)[4], const AttentionNumbers& x,
                                           const std::byte* event, int d) {
  if (x.wide) {
    const auto* from = reinterpret_cast<const float4*>(reinterpret_cast<const float*>(event) + d);
    const float4 a = from[0], b = from[1];
    to[0] = {a.x, a.y}, to[1] = {a.z, a.w}, to[2] = {b.x, b.y}, to[3] = {b.z, b.w};
  } else {
    const uint4 bits =
        *reinterpret_cast<const uint4*>(reinterpret_cast<const std::uint16_t*>(event) + d);
    to[0] = unpack(bits.x, T()), to[1] = unpack(bits.y, T());
    to[2] = unpack(bits.z, T()), to[3] = unpack(bits.w, T());
  }
}

// delta [kRows] = dO . O of a block's queries. kRows <= threads; two threads a row where there are.
template <class T, int kWidth, int kRows, int kThreads>
__device__ __forceinline__ void write_delta(float* delta, const std::uint16_t* do_tile,
                                            const std::byte* o_NHK, const AttentionNumbers& x,
                                            const Place& p, int begin) {
  static_assert(kThreads == 2 * kRows);
  const int row = static_cast<int>(threadIdx.x) / 2, half = static_cast<int>(threadIdx.x) % 2;
  float sum = 0;
  if (begin + row < p.length) {
    const std::byte* o = event_at(x, p, o_NHK, begin + row);
    for (int d = 8 * half; d < x.width; d += 16) {
      const uint4 dout = *reinterpret_cast<const uint4*>(do_tile + row * kRow<kWidth> + d);
      const float2 right[4] = {unpack(dout.x, T()), unpack(dout.y, T()), unpack(dout.z, T()),
                               unpack(dout.w, T())};
      float2 left[4];
      load_eight<T>(left, x, o, d);
#pragma unroll
      for (int i = 0; i < 4; ++i) sum += left[i].x * right[i].x + left[i].y * right[i].y;
    }
  }
  sum += __shfl_xor_sync(~0u, sum, 1);
  if (half == 0) delta[row] = sum;
}

template <class T, int kWidth, int kWarps, int kKeys, Extras kExtras>
__global__ void __launch_bounds__(kWarps * 32, (kWidth <= 32 ? 16 : 12) / kWarps)
    attention_query_kernel(AttentionNumbers x, float* dq_wide, std::uint16_t* dq_16,
                           float* delta_NH, float* tables_HBX, const std::byte* do_NHK,
                           const std::byte* o_NHK, const float* lse_NH, const std::byte* q_NHK,
                           const std::byte* k_NHK, const std::byte* v_NHK,
                           const std::int32_t* offset_B1, const float* position_HR,
                           const float* time_HT, const std::int64_t* time_N,
                           const std::int64_t* place_B) {
  constexpr int kQueries = 16 * kWarps, kThreads = 32 * kWarps, kBlocks = kKeys / 8;
  constexpr int kTile = kKeys * kRow<kWidth>;
  using Tables = std::conditional_t<kExtras == Extras::some, TableSums<kQueries, kKeys, kThreads>,
                                    NoTableSums>;
  SHARED_ARRAY(float, delta, kQueries);
  DYNAMIC_SHARED(std::uint16_t, q_tile);
  std::uint16_t *do_tile = q_tile + kQueries * kRow<kWidth>,
                *k_tiles = do_tile + kQueries * kRow<kWidth>, *v_tiles = k_tiles + 2 * kTile;
  float* ds_tile = reinterpret_cast<float*>(v_tiles + 2 * kTile);  // [kQueries, kKeys + 1]
  const Place p = place_of(offset_B1, blockIdx.x, blockIdx.y);
  // The tiles that see most start first.
  const int first_query = static_cast<int>(gridDim.z - 1 - blockIdx.z) * kQueries;
  const Bias bias(x, p.head, p.first, position_HR, time_HT, time_N);
  const Dropout dropout(x, p.sequence, p.head, place_B);
  Tables tables(tables_HBX, x, bias, ds_tile + kQueries * (kKeys + 1));
  if (first_query >= p.length) return tables.write_zeros();
  const int warp_row = static_cast<int>(threadIdx.x) / 32 * 16, row = first_query + warp_row;
  const int all_keys = x.causal ? min(p.length, first_query + kQueries) : p.length;
  const int seen_keys = row >= p.length ? 0 : x.causal ? min(p.length, row + 16) : p.length;

  load_tile<T, kQueries, kWidth, kThreads>(q_tile, x, p, q_NHK, first_query);
  load_tile<T, kQueries, kWidth, kThreads>(do_tile, x, p, do_NHK, first_query);
  load_tile<T, kKeys, kWidth, kThreads>(k_tiles, x, p, k_NHK, 0);
  load_tile<T, kKeys, kWidth, kThreads>(v_tiles, x, p, v_NHK, 0);
  copy_commit();
  copy_wait<0>();
  __syncthreads();
  write_delta<T, kWidth, kQueries, kThreads>(delta, do_tile, o_NHK, x, p, first_query);
  tables.clear();
  __syncthreads();

  const int lane = threadIdx.x % 32;
  OfRows queries;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int i = row + lane / 4 + 8 * half;
    queries.delta[half] = delta[i - first_query];
    queries.lse[half] = i < p.length ? lse_NH[row_at(x, p, i)] * kLog2e : INFINITY;
    if (i < p.length && lane % 4 == 0) delta_NH[row_at(x, p, i)] = queries.delta[half];
  }
  Rows<kWidth> q_rows, do_rows;
  q_rows.open(q_tile, warp_row);
  do_rows.open(do_tile, warp_row);
  float dq[kWidth / 8][4] = {};
  for (int key = 0, buffer = 0; key < all_keys; key += kKeys, buffer ^= 1) {
    const std::uint16_t *k_tile = k_tiles + buffer * kTile, *v_tile = v_tiles + buffer * kTile;
    const bool more = key + kKeys < all_keys;
    if (more) {
      load_tile<T, kKeys, kWidth, kThreads>(k_tiles + (buffer ^ 1) * kTile, x, p, k_NHK,
                                            key + kKeys);
      load_tile<T, kKeys, kWidth, kThreads>(v_tiles + (buffer ^ 1) * kTile, x, p, v_NHK,
                                            key + kKeys);
      copy_commit();
    }
    float s[kBlocks][4] = {}, dp[kBlocks][4] = {};
    const bool inside = kExtras == Extras::none && key + kKeys <= (x.causal ? row + 1 : p.length) &&
                        key + kKeys <= seen_keys;
    if (inside) {
      multiply_transposed<T, kWidth>(s, q_rows, k_tile, AllGroups());
      multiply_transposed<T, kWidth>(dp, do_rows, v_tile, AllGroups());
      score_gradients<Side::query, kExtras, Masked::no>(s, dp, x, bias, dropout, p.length, row, key,
                                                        AllGroups(), queries);
      multiply<T, kWidth>(dq, dp, k_tile, AllGroups());
    } else if (key < seen_keys) {
      const Groups groups = {0, (seen_keys - key + 15) / 16};
      multiply_transposed<T, kWidth>(s, q_rows, k_tile, groups);
      multiply_transposed<T, kWidth>(dp, do_rows, v_tile, groups);
      score_gradients<Side::query, kExtras, Masked::yes>(s, dp, x, bias, dropout, p.length, row,
                                                         key, groups, queries);
      multiply<T, kWidth>(dq, dp, k_tile, groups);
    }
    if (tables.wanted()) {
#pragma unroll
      for (int n = 0; n < kBlocks; ++n)
#pragma unroll
        for (int e = 0; e < 4; ++e)
          ds_tile[(warp_row + lane / 4 + 8 * (e / 2)) * (kKeys + 1) + 8 * n + lane % 4 * 2 +
                  e % 2] = dp[n][e];
      __syncthreads();
      tables.add(ds_tile, kKeys + 1, 1, first_query, key, p.length);
    }
    if (more) copy_wait<0>();
    __syncthreads();  // the next tiles are there, and nobody reads these
  }
  store_rows<T, kWidth>(dq_wide, dq_16, x, p, row, dq, {x.scale, x.scale});
  if (tables.wanted()) tables.write();
}

template <class T, int kWidth, int kWarps, int kKeys, Extras kExtras>
void launch_query(Context& ctx, const AttentionOperands& x, AttentionGradients& g) {
  constexpr int kQueries = 16 * kWarps;
  std::size_t shared = kBackwardShared<kWidth, kQueries, kKeys>;
  if (g.tables)
    shared += kQueries * (kKeys + 1) * sizeof(float) +
              TableSums<kQueries, kKeys, 32 * kWarps>::bytes(x.numbers);
  const LaunchShape shape = {
      dim3(static_cast<unsigned>(x.sequences()), static_cast<unsigned>(x.numbers.heads),
           static_cast<unsigned>(x.tiles(kQueries))),
      32 * kWarps, shared};
  launch<attention_query_kernel<T, kWidth, kWarps, kKeys, kExtras>>(
      shape, stream_of(ctx), x.numbers, out_wide(g.dq_NHK), out_16(g.dq_NHK),
      out<float>(g.delta_NH), out<float>(g.tables), in_bytes(g.do_NHK), in_bytes(g.o_NHK),
      in<float>(g.lse_NH), in_bytes(x.q_NHK), in_bytes(x.k_NHK), in_bytes(x.v_NHK),
      in<std::int32_t>(x.offset_B1), in<float>(x.bias.position_HR), in<float>(x.bias.time_HT),
      in<std::int64_t>(x.bias.time_N), in<std::int64_t>(x.place_B));
}

}  // namespace

void attention_16_query(Context& ctx, DType type, const AttentionOperands& x,
                        AttentionGradients& g) {
  with_type_and_width(type, x.numbers.width,
                      [&]<class T, int kWidth>(T, std::integral_constant<int, kWidth>) {
                        if (x.numbers.extras())
                          launch_query<T, kWidth, 4, 32, Extras::some>(ctx, x, g);
                        else if (x.short_ones())
                          launch_query<T, kWidth, 2, 32, Extras::none>(ctx, x, g);
                        else
                          launch_query<T, kWidth, 4, 32, Extras::none>(ctx, x, g);
                      });
}

}  // namespace seqrank::cuda
