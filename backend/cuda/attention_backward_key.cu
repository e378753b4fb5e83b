// Multi-head attention backward on tensor cores, the keys' side: dk and dv. A block has one head of
// one sequence and 16 keys a warp, and goes through the queries that see them: the scores are made
// transposed, so that their gradients are left operands as they lie in the registers. Reads the
// delta that the queries' side (attention_backward_query.cu) wrote.
#include "backend/cuda/attention_backward.h"
#include "backend/cuda/runtime.h"
#include "launch.h"

namespace seqrank::cuda {
namespace {

using namespace attention;

template <class T, int kWidth, int kWarps, int kQueries, Extras kExtras>
__global__ void __launch_bounds__(kWarps * 32, (kWidth <= 32   ? 16
                                                : kWidth <= 64 ? 12
                                                               : 8) /
                                                   kWarps)
    attention_key_kernel(AttentionNumbers x, float* dk_wide, std::uint16_t* dk_16, float* dv_wide,
                         std::uint16_t* dv_16, const float* delta_NH, const std::byte* do_NHK,
                         const float* lse_NH, const std::byte* q_NHK, const std::byte* k_NHK,
                         const std::byte* v_NHK, const std::int32_t* offset_B1,
                         const float* position_HR, const float* time_HT, const std::int64_t* time_N,
                         const std::int64_t* place_B) {
  constexpr int kKeys = 16 * kWarps, kThreads = 32 * kWarps, kBlocks = kQueries / 8;
  constexpr int kTile = kQueries * kRow<kWidth>;
  static_assert(kQueries <= kThreads);
  SHARED_ARRAY(float, lse, 2 * kQueries);
  SHARED_ARRAY(float, delta, 2 * kQueries);
  DYNAMIC_SHARED(std::uint16_t, k_tile);
  std::uint16_t *v_tile = k_tile + kKeys * kRow<kWidth>, *q_tiles = v_tile + kKeys * kRow<kWidth>,
                *do_tiles = q_tiles + 2 * kTile;
  const Place p = place_of(offset_B1, blockIdx.x, blockIdx.y);
  const int first_key = static_cast<int>(blockIdx.z) * kKeys;  // the first are seen by most
  if (first_key >= p.length) return;
  const int warp_row = static_cast<int>(threadIdx.x) / 32 * 16, row = first_key + warp_row;
  const int first_query = x.causal ? first_key : 0;
  const Bias bias(x, p.head, p.first, position_HR, time_HT, time_N);
  const Dropout dropout(x, p.sequence, p.head, place_B);

  // Each thread fetches the two numbers of one query of the next tile; beyond the sequence such
  // that the probabilities are zero.
  const int mine = static_cast<int>(threadIdx.x) % kQueries;
  float next_lse = INFINITY, next_delta = 0;
  const auto fetch = [&](int query) {
    const bool there = query + mine < p.length;
    next_lse = there ? lse_NH[row_at(x, p, query + mine)] * kLog2e : INFINITY;
    next_delta = there ? delta_NH[row_at(x, p, query + mine)] : 0.f;
  };
  const auto keep = [&](int buffer) {
    if (threadIdx.x >= kQueries) return;
    lse[buffer * kQueries + mine] = next_lse;
    delta[buffer * kQueries + mine] = next_delta;
  };

  load_tile<T, kKeys, kWidth, kThreads>(k_tile, x, p, k_NHK, first_key);
  load_tile<T, kKeys, kWidth, kThreads>(v_tile, x, p, v_NHK, first_key);
  load_tile<T, kQueries, kWidth, kThreads>(q_tiles, x, p, q_NHK, first_query);
  load_tile<T, kQueries, kWidth, kThreads>(do_tiles, x, p, do_NHK, first_query);
  copy_commit();
  fetch(first_query);
  keep(0);
  copy_wait<0>();
  __syncthreads();

  Rows<kWidth> k_rows, v_rows;
  k_rows.open(k_tile, warp_row);
  v_rows.open(v_tile, warp_row);
  float dk[kWidth / 8][4] = {}, dv[kWidth / 8][4] = {};
  for (int query = first_query, buffer = 0; query < p.length; query += kQueries, buffer ^= 1) {
    const std::uint16_t *q_tile = q_tiles + buffer * kTile, *do_tile = do_tiles + buffer * kTile;
    const bool more = query + kQueries < p.length;
    if (more) {
      load_tile<T, kQueries, kWidth, kThreads>(q_tiles + (buffer ^ 1) * kTile, x, p, q_NHK,
                                               query + kQueries);
      load_tile<T, kQueries, kWidth, kThreads>(do_tiles + (buffer ^ 1) * kTile, x, p, do_NHK,
                                               query + kQueries);
      copy_commit();
      fetch(query + kQueries);
    }
    const OfColumns queries = {&lse[buffer * kQueries], &delta[buffer * kQueries]};
    const Groups groups = {x.causal ? max(0, (row - query) / 16) : 0,
                           row < p.length ? (p.length - query + 15) / 16 : 0};
    float s[kBlocks][4] = {}, dp[kBlocks][4] = {};
    if (kExtras == Extras::none && query + kQueries <= p.length && row < p.length &&
        (!x.causal || query >= row + 15)) {
      multiply_transposed<T, kWidth>(s, k_rows, q_tile, AllGroups());
      multiply_transposed<T, kWidth>(dp, v_rows, do_tile, AllGroups());
      score_gradients<Side::key, kExtras, Masked::no>(s, dp, x, bias, dropout, p.length, row, query,
                                                      AllGroups(), queries);
      multiply<T, kWidth>(dv, s, do_tile, AllGroups());
      multiply<T, kWidth>(dk, dp, q_tile, AllGroups());
    } else if (groups.begin < groups.end) {
      multiply_transposed<T, kWidth>(s, k_rows, q_tile, groups);
      multiply_transposed<T, kWidth>(dp, v_rows, do_tile, groups);
      score_gradients<Side::key, kExtras, Masked::yes>(s, dp, x, bias, dropout, p.length, row,
                                                       query, groups, queries);
      multiply<T, kWidth>(dv, s, do_tile, groups);
      multiply<T, kWidth>(dk, dp, q_tile, groups);
    }
    if (more) {
      keep(buffer ^ 1);
      copy_wait<0>();
    }
    __syncthreads();  // the next tiles are there, and nobody reads these
  }
  store_rows<T, kWidth>(dk_wide, dk_16, x, p, row, dk, {x.scale, x.scale});
  store_rows<T, kWidth>(dv_wide, dv_16, x, p, row, dv, {x.kept, x.kept});
}

template <class T, int kWidth, int kWarps, int kQueries, Extras kExtras>
void launch_key(Context& ctx, const AttentionOperands& x, AttentionGradients& g) {
  const LaunchShape shape = {
      dim3(static_cast<unsigned>(x.sequences()), static_cast<unsigned>(x.numbers.heads),
           static_cast<unsigned>(x.tiles(16 * kWarps))),
      32 * kWarps, kBackwardShared<kWidth, 16 * kWarps, kQueries>};
  launch<attention_key_kernel<T, kWidth, kWarps, kQueries, kExtras>>(
      shape, stream_of(ctx), x.numbers, out_wide(g.dk_NHK), out_16(g.dk_NHK), out_wide(g.dv_NHK),
      out_16(g.dv_NHK), in<float>(g.delta_NH), in_bytes(g.do_NHK), in<float>(g.lse_NH),
      in_bytes(x.q_NHK), in_bytes(x.k_NHK), in_bytes(x.v_NHK), in<std::int32_t>(x.offset_B1),
      in<float>(x.bias.position_HR), in<float>(x.bias.time_HT), in<std::int64_t>(x.bias.time_N),
      in<std::int64_t>(x.place_B));
}

}  // namespace

void attention_16_key(Context& ctx, DType type, const AttentionOperands& x, AttentionGradients& g) {
  with_type_and_width(type, x.numbers.width,
                      [&]<class T, int kWidth>(T, std::integral_constant<int, kWidth>) {
                        if (x.numbers.extras())
                          launch_key<T, kWidth, 4, 32, Extras::some>(ctx, x, g);
                        else if (x.short_ones())
                          launch_key<T, kWidth, 2, 32, Extras::none>(ctx, x, g);
                        else
                          launch_key<T, kWidth, 4, 32, Extras::none>(ctx, x, g);
                      });
}

}  // namespace seqrank::cuda
