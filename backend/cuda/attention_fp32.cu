// Multi-head attention with fp32 products, forward and backward: tiles of 64 rows of a block's own
// by 32 of the other side, four by four a thread, no tensor cores. For checking and for those who
// want fp32: kept simple, biases and dropout are asked for at run time. One backward text serves
// both sides: the rows are queries (dq, delta, tables) or keys (dk, dv).
#include "backend/cuda/attention_extras.h"
#include "backend/cuda/attention_tables.h"
#include "backend/cuda/runtime.h"
#include "launch.h"

namespace seqrank::cuda {
namespace {

using namespace attention;

constexpr int kRows = 64, kColumns = 32, kThreads = 128;
// Rows of transposed tiles, 16 bytes apart from a multiple of the banks.
constexpr int kRowsPitch = kRows + 4, kColumnsPitch = kColumns + 4;
using QueryTables = TableSums<kRows, kColumns, kThreads>;

// One head of one sequence.
struct Piece {
  int sequence, head, first, length, heads, width;
  __device__ Piece(const AttentionNumbers& x, const std::int32_t* offset_B1)
      : sequence(static_cast<int>(blockIdx.x)),
        head(static_cast<int>(blockIdx.y)),
        first(offset_B1[sequence]),
        length(offset_B1[sequence + 1] - first),
        heads(x.heads),
        width(x.width) {}
  __device__ std::int64_t row(int i) const {
    return static_cast<std::int64_t>(first + i) * heads + head;
  }
  // Four elements of event i from column d on; zeros beyond the sequence and the width.
  __device__ float4 four(const float* x_NHK, int i, int d) const {
    if (i >= length || d >= width) return float4{0, 0, 0, 0};
    return *reinterpret_cast<const float4*>(x_NHK + row(i) * width + d);
  }
};

// tile [kWidth, kEvents + 4] = the events [begin, begin + kEvents), transposed.
template <int kWidth, int kEvents>
__device__ void load_transposed(float* tile, const Piece& p, const float* x_NHK, int begin) {
  for (int i = threadIdx.x; i < kEvents * kWidth / 4; i += kThreads) {
    const int event = i % kEvents, d = i / kEvents * 4;
    const float4 four = p.four(x_NHK, begin + event, d);
    float* to = tile + d * (kEvents + 4) + event;
    to[0] = four.x;
    to[kEvents + 4] = four.y;
    to[2 * (kEvents + 4)] = four.z;
    to[3 * (kEvents + 4)] = four.w;
  }
}

// tile [kColumns, kWidth].
template <int kWidth>
__device__ void load_columns(float* tile, const Piece& p, const float* x_NHK, int begin) {
  for (int i = threadIdx.x; i < kColumns * kWidth / 4; i += kThreads) {
    const int event = i / (kWidth / 4), d = i % (kWidth / 4) * 4;
    *reinterpret_cast<float4*>(tile + event * kWidth + d) = p.four(x_NHK, begin + event, d);
  }
}

// Which four rows and columns of a tile a thread has.
__device__ int own_row() {
  return static_cast<int>(threadIdx.x) / 8 * 4;
}
__device__ int own_column() {
  return static_cast<int>(threadIdx.x) % 8 * 4;
}

__device__ void add_outer(float (&sum)[4][4], const float4& a, const float4& b) {
  const float left[4] = {a.x, a.y, a.z, a.w}, right[4] = {b.x, b.y, b.z, b.w};
#pragma unroll
  for (int r = 0; r < 4; ++r)
#pragma unroll
    for (int c = 0; c < 4; ++c) sum[r][c] += left[r] * right[c];
}

// s = rows columns^T, of transposed tiles.
template <int kWidth>
__device__ void multiply_tiles(float (&s)[4][4], const float* rows, const float* columns) {
#pragma unroll
  for (int r = 0; r < 4; ++r)
#pragma unroll
    for (int c = 0; c < 4; ++c) s[r][c] = 0;
#pragma unroll 4
  for (int d = 0; d < kWidth; ++d)
    add_outer(s, *reinterpret_cast<const float4*>(rows + d * kRowsPitch + own_row()),
              *reinterpret_cast<const float4*>(columns + d * kColumnsPitch + own_column()));
}

// Puts s into tile [kColumns, kRowsPitch], transposed. A thread's rows are its warp's alone.
__device__ void share(float* tile, const float (&s)[4][4]) {
  __syncwarp();  // nobody of the warp reads what was there
#pragma unroll
  for (int c = 0; c < 4; ++c)
    *reinterpret_cast<float4*>(tile + (own_column() + c) * kRowsPitch + own_row()) =
        float4{s[0][c], s[1][c], s[2][c], s[3][c]};
  __syncwarp();
}

// Sums [4 rows, kWidth / 8 columns] of a thread: columns own_column() + 32 k, and three more.
template <int kWidth>
struct Sums {
  float of[kWidth / 32][4][4] = {};

  // += p columns, p as share() put it.
  __device__ void add(const float* p, const float* columns) {
#pragma unroll 2
    for (int j = 0; j < kColumns; ++j) {
      const float4 a = *reinterpret_cast<const float4*>(p + j * kRowsPitch + own_row());
#pragma unroll
      for (int k = 0; k < kWidth / 32; ++k)
        add_outer(of[k], a,
                  *reinterpret_cast<const float4*>(columns + j * kWidth + own_column() + 32 * k));
    }
  }
  __device__ void write(float* x_NHK, const Piece& p, int begin, const float (&factor)[4]) const {
#pragma unroll
    for (int r = 0; r < 4; ++r) {
      const int event = begin + own_row() + r;
      if (event >= p.length) continue;
#pragma unroll
      for (int k = 0; k < kWidth / 32; ++k) {
        const int d = own_column() + 32 * k;
        if (d >= p.width) continue;
        const float f = factor[r];
        *reinterpret_cast<float4*>(x_NHK + p.row(event) * p.width + d) =
            float4{of[k][r][0] * f, of[k][r][1] * f, of[k][r][2] * f, of[k][r][3] * f};
      }
    }
  }
};

// In units of log2; -infinity for unseen pairs.
__device__ float finished_score(float product, const AttentionNumbers& x, const Bias& bias,
                                int length, int i, int j) {
  if (i >= length || j >= length || (x.causal && j > i)) return -INFINITY;
  return (product * x.scale + bias.at(i, j)) * kLog2e;
}

template <int kWidth>
__global__ void __launch_bounds__(kThreads)
    attention_fp32_kernel(AttentionNumbers x, float* o_NHK, float* lse_NH, const float* q_NHK,
                          const float* k_NHK, const float* v_NHK, const std::int32_t* offset_B1,
                          const float* position_HR, const float* time_HT,
                          const std::int64_t* time_N, const std::int64_t* place_B) {
  DYNAMIC_SHARED(float, q_tile);
  float *k_tile = q_tile + kWidth * kRowsPitch, *v_tile = k_tile + kWidth * kColumnsPitch,
        *p_tile = v_tile + kColumns * kWidth;
  const Piece p(x, offset_B1);
  const int query = static_cast<int>(gridDim.z - 1 - blockIdx.z) * kRows;
  if (query >= p.length) return;
  const Bias bias(x, p.head, p.first, position_HR, time_HT, time_N);
  const Dropout dropout(x, p.sequence, p.head, place_B);
  load_transposed<kWidth, kRows>(q_tile, p, q_NHK, query);
  float max[4], sum[4] = {};
#pragma unroll
  for (int r = 0; r < 4; ++r) max[r] = -INFINITY;
  Sums<kWidth> o;
  const int all_keys = x.causal ? min(p.length, query + kRows) : p.length;
  for (int key = 0; key < all_keys; key += kColumns) {
    __syncthreads();  // nobody reads the last tiles
    load_transposed<kWidth, kColumns>(k_tile, p, k_NHK, key);
    load_columns<kWidth>(v_tile, p, v_NHK, key);
    __syncthreads();
    float s[4][4];
    multiply_tiles<kWidth>(s, q_tile, k_tile);
#pragma unroll
    for (int r = 0; r < 4; ++r) {
      const int i = query + own_row() + r;
      float highest = max[r];
#pragma unroll
      for (int c = 0; c < 4; ++c) {
        s[r][c] = finished_score(s[r][c], x, bias, p.length, i, key + own_column() + c);
        highest = fmaxf(highest, s[r][c]);
      }
      for (int step = 1; step < 8; step *= 2)
        highest = fmaxf(highest, __shfl_xor_sync(~0u, highest, step));
      const float shift = highest == -INFINITY ? 0.f : highest;
      const float fade = exp2f(max[r] - shift);
      max[r] = highest;
      sum[r] *= fade;
#pragma unroll
      for (int k = 0; k < kWidth / 32; ++k)
#pragma unroll
        for (int c = 0; c < 4; ++c) o.of[k][r][c] *= fade;
      const unsigned kept = dropout.any() ? dropout.kept(i, (key + own_column()) / 4) : 0xfu;
#pragma unroll
      for (int c = 0; c < 4; ++c) {
        const float probability = exp2f(s[r][c] - shift);
        sum[r] += probability;
        s[r][c] = (kept >> c & 1u) != 0 ? probability : 0.f;
      }
    }
    share(p_tile, s);
    o.add(p_tile, v_tile);
  }
  float factor[4];
#pragma unroll
  for (int r = 0; r < 4; ++r) {
    for (int step = 1; step < 8; step *= 2) sum[r] += __shfl_xor_sync(~0u, sum[r], step);
    factor[r] = x.kept / sum[r];
    const int i = query + own_row() + r;
    if (i < p.length && own_column() == 0) lse_NH[p.row(i)] = (max[r] + log2f(sum[r])) * kLn2;
  }
  o.write(o_NHK, p, query, factor);
}

// delta [kRows] = dO . O of the queries from `begin` on; dO lies transposed.
__device__ void write_delta(float* delta, const float* do_tile, const float* o_NHK, const Piece& p,
                            int begin) {
  const int row = static_cast<int>(threadIdx.x) / 2, half = static_cast<int>(threadIdx.x) % 2;
  float sum = 0;
  for (int d = 4 * half; d < p.width; d += 8) {
    const float4 o = p.four(o_NHK, begin + row, d);
    const float* dout = do_tile + d * kRowsPitch + row;
    sum += o.x * dout[0] + o.y * dout[kRowsPitch] + o.z * dout[2 * kRowsPitch] +
           o.w * dout[3 * kRowsPitch];
  }
  sum += __shfl_xor_sync(~0u, sum, 1);
  if (half == 0) delta[row] = sum;
}

// Scores to dropped probabilities (without `kept`), dp to gradients of the scores (without
// `scale`).
template <Side kSide>
__device__ void score_gradients(float (&s)[4][4], float (&dp)[4][4], const AttentionNumbers& x,
                                const Bias& bias, const Dropout& dropout, const Piece& p, int row,
                                int column, const float* lse_NH, const float* delta_NH,
                                const float* own_delta) {
  constexpr bool kQueries = kSide == Side::query;
#pragma unroll
  for (int a = 0; a < 4; ++a) {  // queries
    const int i = kQueries ? row + a : column + a;
    const bool there = i < p.length;
    const float lse = there ? lse_NH[p.row(i)] * kLog2e : 0.f;
    const float delta = !there ? 0.f : kQueries ? own_delta[own_row() + a] : delta_NH[p.row(i)];
    const unsigned kept = dropout.any() ? dropout.kept(i, (kQueries ? column : row) / 4) : 0xfu;
#pragma unroll
    for (int b = 0; b < 4; ++b) {  // keys
      float &score = kQueries ? s[a][b] : s[b][a], &gradient = kQueries ? dp[a][b] : dp[b][a];
      const int j = kQueries ? column + b : row + b;
      const float probability = exp2f(finished_score(score, x, bias, p.length, i, j) - lse);
      const bool keep = (kept >> b & 1u) != 0;
      gradient = probability * ((keep ? gradient * x.kept : 0.f) - delta);
      score = keep ? probability : 0.f;
    }
  }
}

// own: Q and dO, others: K and V, or the other way round. d_own: dq or dk. Of the queries' side
// alone: o, delta_out, tables; of the keys': delta_in, dv.
template <int kWidth, Side kSide>
__global__ void __launch_bounds__(kThreads, kWidth <= 64 ? 3 : 1)
    attention_fp32_backward_kernel(AttentionNumbers x, float* d_own_NHK, float* dv_NHK,
                                   float* delta_out, float* tables_HBX, const float* delta_in,
                                   const float* own1_NHK, const float* own2_NHK,
                                   const float* other1_NHK, const float* other2_NHK,
                                   const float* o_NHK, const float* lse_NH,
                                   const std::int32_t* offset_B1, const float* position_HR,
                                   const float* time_HT, const std::int64_t* time_N,
                                   const std::int64_t* place_B) {
  constexpr bool kQueries = kSide == Side::query;
  SHARED_ARRAY(float, delta, kRows);
  DYNAMIC_SHARED(float, own1);
  float *own2 = own1 + kWidth * kRowsPitch, *other1 = own2 + kWidth * kRowsPitch,
        *other2 = other1 + kWidth * kColumnsPitch, *columns1 = other2 + kWidth * kColumnsPitch,
        *columns2 = columns1 + kColumns * kWidth,
        *shared = columns2 + (kQueries ? 0 : kColumns * kWidth);
  const Piece p(x, offset_B1);
  const int tile = static_cast<int>(kQueries ? gridDim.z - 1 - blockIdx.z : blockIdx.z);
  const int row = tile * kRows;
  const Bias bias(x, p.head, p.first, position_HR, time_HT, time_N);
  const Dropout dropout(x, p.sequence, p.head, place_B);
  std::conditional_t<kQueries, QueryTables, NoTableSums> tables(tables_HBX, x, bias,
                                                                shared + kColumns * kRowsPitch);
  if (row >= p.length) return tables.write_zeros();
  load_transposed<kWidth, kRows>(own1, p, own1_NHK, row);
  load_transposed<kWidth, kRows>(own2, p, own2_NHK, row);
  tables.clear();
  __syncthreads();
  if constexpr (kQueries) {
    write_delta(delta, own2, o_NHK, p, row);
    __syncthreads();
    const int i = static_cast<int>(threadIdx.x);
    if (i < kRows && row + i < p.length) delta_out[p.row(row + i)] = delta[i];
  }
  Sums<kWidth> d_own, dv;
  const int begin = !kQueries && x.causal ? row : 0;
  const int end = kQueries && x.causal ? min(p.length, row + kRows) : p.length;
  for (int column = begin; column < end; column += kColumns) {
    __syncthreads();  // nobody reads the last tiles
    load_transposed<kWidth, kColumns>(other1, p, other1_NHK, column);
    load_transposed<kWidth, kColumns>(other2, p, other2_NHK, column);
    load_columns<kWidth>(columns1, p, other1_NHK, column);
    if (!kQueries) load_columns<kWidth>(columns2, p, other2_NHK, column);
    __syncthreads();
    float s[4][4], dp[4][4];
    multiply_tiles<kWidth>(s, own1, other1);
    multiply_tiles<kWidth>(dp, own2, other2);
    score_gradients<kSide>(s, dp, x, bias, dropout, p, row + own_row(), column + own_column(),
                           lse_NH, delta_in, delta);
    if constexpr (!kQueries) {
      share(shared, s);
      dv.add(shared, columns2);
    }
    share(shared, dp);
    d_own.add(shared, columns1);
    if (tables.wanted()) {
      __syncthreads();
      tables.add(shared, 1, kRowsPitch, row, column, p.length);
    }
  }
  d_own.write(d_own_NHK, p, row, {x.scale, x.scale, x.scale, x.scale});
  if constexpr (!kQueries) dv.write(dv_NHK, p, row, {x.kept, x.kept, x.kept, x.kept});
  if (tables.wanted()) {
    __syncthreads();
    tables.write();
  }
}

LaunchShape shape_of(const AttentionOperands& x, std::size_t floats, std::size_t more_bytes = 0) {
  return {dim3(static_cast<unsigned>(x.sequences()), static_cast<unsigned>(x.numbers.heads),
               static_cast<unsigned>(x.tiles(kRows))),
          kThreads, floats * sizeof(float) + more_bytes};
}

template <int kWidth>
void forward_of_width(Context& ctx, const AttentionOperands& x, Tensor& o_NHK, Tensor& lse_NH) {
  constexpr std::size_t kFloats =
      kWidth * (kRowsPitch + kColumnsPitch + kColumns) + kColumns * kRowsPitch;
  launch<attention_fp32_kernel<kWidth>>(
      shape_of(x, kFloats), stream_of(ctx), x.numbers, out<float>(o_NHK), out<float>(lse_NH),
      in<float>(x.q_NHK), in<float>(x.k_NHK), in<float>(x.v_NHK), in<std::int32_t>(x.offset_B1),
      in<float>(x.bias.position_HR), in<float>(x.bias.time_HT), in<std::int64_t>(x.bias.time_N),
      in<std::int64_t>(x.place_B));
}

template <int kWidth, Side kSide>
void backward_of_width(Context& ctx, const AttentionOperands& x, AttentionGradients& g) {
  constexpr bool kQueries = kSide == Side::query;
  constexpr std::size_t kFloats =
      kWidth * (2 * kRowsPitch + 2 * kColumnsPitch + (kQueries ? 1 : 2) * kColumns) +
      kColumns * kRowsPitch;
  Tensor absent;
  Tensor &tables = kQueries ? g.tables : absent, &dv = kQueries ? absent : g.dv_NHK;
  Tensor &delta_out = kQueries ? g.delta_NH : absent, &delta_in = kQueries ? absent : g.delta_NH;
  launch<attention_fp32_backward_kernel<kWidth, kSide>>(
      shape_of(x, kFloats, tables ? QueryTables::bytes(x.numbers) : 0), stream_of(ctx), x.numbers,
      out<float>(kQueries ? g.dq_NHK : g.dk_NHK), out<float>(dv), out<float>(delta_out),
      out<float>(tables), in<float>(delta_in), in<float>(kQueries ? x.q_NHK : x.k_NHK),
      in<float>(kQueries ? g.do_NHK : x.v_NHK), in<float>(kQueries ? x.k_NHK : x.q_NHK),
      in<float>(kQueries ? x.v_NHK : g.do_NHK), in<float>(kQueries ? g.o_NHK : absent),
      in<float>(g.lse_NH), in<std::int32_t>(x.offset_B1), in<float>(x.bias.position_HR),
      in<float>(x.bias.time_HT), in<std::int64_t>(x.bias.time_N), in<std::int64_t>(x.place_B));
}

template <class F>
void with_width(int width, F f) {
  if (width <= 32)
    f(std::integral_constant<int, 32>());
  else if (width <= 64)
    f(std::integral_constant<int, 64>());
  else
    f(std::integral_constant<int, 128>());
}

}  // namespace

void attention_fp32(Context& ctx, const AttentionOperands& x, Tensor& o_NHK, Tensor& lse_NH) {
  with_width(x.numbers.width, [&]<int kWidth>(std::integral_constant<int, kWidth>) {
    forward_of_width<kWidth>(ctx, x, o_NHK, lse_NH);
  });
}

void attention_fp32_query(Context& ctx, const AttentionOperands& x, AttentionGradients& g) {
  with_width(x.numbers.width, [&]<int kWidth>(std::integral_constant<int, kWidth>) {
    backward_of_width<kWidth, Side::query>(ctx, x, g);
  });
}

void attention_fp32_key(Context& ctx, const AttentionOperands& x, AttentionGradients& g) {
  with_width(x.numbers.width, [&]<int kWidth>(std::integral_constant<int, kWidth>) {
    backward_of_width<kWidth, Side::key>(ctx, x, g);
  });
}

}  // namespace seqrank::cuda
