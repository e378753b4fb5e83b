// DIN's activation unit on a CUDA device. A block of queries meets its keys in a rectangle of rows,
// max_length to a query, most of them pairs of a query and one of its keys: the products with P are
// the vendor's over all rows, and kernels with a warp a row, a query or a key do the rest. Rows
// that are no pair hold zeros. Each gradient is summed by one warp, in one order.
#include <algorithm>

#include "backend/cuda/kernels.h"
#include "backend/cuda/product.h"
#include "backend/cuda/query_scores.h"
#include "backend/cuda/runtime.h"
#include "backend/ops/activation.h"

namespace seqrank::cuda {
namespace {

constexpr std::int64_t kRows = 1 << 17;  // of a block of queries, at most, unless one has more

// candidates: 0 where the events themselves ask, each about its past.
struct Extents {
  std::int64_t first, queries;  // of this block
  std::int64_t length, sequences, candidates, keys, width;
};

struct Query {
  std::int64_t begin, events;  // that it sees
  std::int64_t row;            // of x and q
};

// Of query i of the block.
__device__ Query query_at(std::int64_t i, const std::int32_t* offset_B1, const Extents& e) {
  const std::int64_t m = e.first + i;
  if (e.candidates == 0) {
    const std::int64_t begin = offset_B1[sequence_of(m, offset_B1, e.sequences)];
    return {begin, m - begin + 1, m};
  }
  const std::int64_t b = m / e.candidates, begin = offset_B1[b];
  return {begin, offset_B1[b + 1] - begin, m % e.candidates};
}

// A warp a row: h x, and k + q in what will be the argument of act.
__global__ void pair_kernel(float* pair_RD, float* act_RA, const float* h_ND, const float* x_QD,
                            const float* k_NA, const float* q_QA, const std::int32_t* offset_B1,
                            Extents e) {
  const std::int64_t r = warp_index(), j = r % e.length;
  const int lane = lane_index();
  if (r >= e.queries * e.length) return;
  const Query query = query_at(r / e.length, offset_B1, e);
  const bool sees = j < query.events;
  const std::int64_t event = query.begin + j;
  for (std::int64_t d = lane; d < e.width; d += 32)
    pair_RD[r * e.width + d] =
        sees ? h_ND[event * e.width + d] * x_QD[query.row * e.width + d] : 0.f;
  for (std::int64_t a = lane; a < e.keys; a += 32)
    act_RA[r * e.keys + a] = sees ? k_NA[event * e.keys + a] + q_QA[query.row * e.keys + a] : 0.f;
}

// A warp a row: its weight, 0 where there is no pair.
template <class Act>
__global__ void weight_kernel(float* weight_R, const float* act_RA, const float* w_A,
                              const float* b_1, const std::int32_t* offset_B1, Extents e) {
  const std::int64_t r = warp_index();
  if (r >= e.queries * e.length) return;
  float sum = 0;
  for (std::int64_t a = lane_index(); a < e.keys; a += 32)
    sum += w_A[a] * Act::value(act_RA[r * e.keys + a]);
  sum = warp_sum(sum);
  if (lane_index() > 0) return;
  const bool sees = r % e.length < query_at(r / e.length, offset_B1, e).events;
  weight_R[r] = sees ? sum + b_1[0] : 0.f;
}

// A warp a query.
__global__ void pool_kernel(float* z_MD, const float* weight_R, const float* h_ND,
                            const std::int32_t* offset_B1, Extents e) {
  const std::int64_t i = warp_index();
  if (i >= e.queries) return;
  const Query query = query_at(i, offset_B1, e);
  for (std::int64_t d = lane_index(); d < e.width; d += 32) {
    float sum = 0;
    for (std::int64_t j = 0; j < query.events; ++j)
      sum += weight_R[i * e.length + j] * h_ND[(query.begin + j) * e.width + d];
    z_MD[(e.first + i) * e.width + d] = sum;
  }
}

// A warp a row: act_RA becomes the gradient of its argument, dw_RA this row's part of dw, dweight_R
// of the weight; all zero where there is no pair.
template <class Act>
__global__ void act_gradient_kernel(float* act_RA, float* dw_RA, float* dweight_R,
                                    const float* dz_ND, const float* h_ND, const float* w_A,
                                    const std::int32_t* offset_B1, Extents e) {
  const std::int64_t r = warp_index(), i = r / e.length, j = r % e.length;
  const int lane = lane_index();
  if (r >= e.queries * e.length) return;
  const Query query = query_at(i, offset_B1, e);
  float dweight = 0;
  if (j < query.events) {
    for (std::int64_t d = lane; d < e.width; d += 32)
      dweight += dz_ND[(e.first + i) * e.width + d] * h_ND[(query.begin + j) * e.width + d];
    dweight = warp_sum(dweight);
  }
  if (lane == 0) dweight_R[r] = dweight;
  for (std::int64_t a = lane; a < e.keys; a += 32) {
    const float y = Act::value(act_RA[r * e.keys + a]);
    dw_RA[r * e.keys + a] = dweight * y;
    act_RA[r * e.keys + a] = dweight * w_A[a] * Act::slope(y);
  }
}

// A warp a query: dq and dx.
__global__ void query_sum_kernel(float* dq_NA, float* dx_ND, const float* dact_RA,
                                 const float* dpair_RD, const float* h_ND,
                                 const std::int32_t* offset_B1, Extents e) {
  const std::int64_t i = warp_index(), n = e.first + i;
  const int lane = lane_index();
  if (i >= e.queries) return;
  const Query query = query_at(i, offset_B1, e);
  for (std::int64_t a = lane; a < e.keys; a += 32) {
    float sum = 0;
    for (std::int64_t j = 0; j < query.events; ++j) sum += dact_RA[(i * e.length + j) * e.keys + a];
    dq_NA[n * e.keys + a] = sum;
  }
  for (std::int64_t d = lane; d < e.width; d += 32) {
    float sum = 0;
    for (std::int64_t j = 0; j < query.events; ++j)
      sum += dpair_RD[(i * e.length + j) * e.width + d] * h_ND[(query.begin + j) * e.width + d];
    dx_ND[n * e.width + d] = sum;
  }
}

// A warp an event that queries of this block may see: adds to dk and dh.
__global__ void key_sum_kernel(float* dk_NA, float* dh_ND, const float* dact_RA,
                               const float* dpair_RD, const float* weight_R, const float* dz_ND,
                               const float* x_ND, const std::int32_t* offset_B1, Extents e) {
  const std::int64_t event = warp_index(), end_of_block = e.first + e.queries;
  const int lane = lane_index();
  if (event >= end_of_block) return;
  const std::int64_t b = sequence_of(event, offset_B1, e.sequences), j = event - offset_B1[b];
  const std::int64_t begin = max(event, e.first);
  const std::int64_t end = min(static_cast<std::int64_t>(offset_B1[b + 1]), end_of_block);
  if (begin >= end) return;
  for (std::int64_t a = lane; a < e.keys; a += 32) {
    float sum = dk_NA[event * e.keys + a];
    for (std::int64_t n = begin; n < end; ++n)
      sum += dact_RA[((n - e.first) * e.length + j) * e.keys + a];
    dk_NA[event * e.keys + a] = sum;
  }
  for (std::int64_t d = lane; d < e.width; d += 32) {
    float sum = dh_ND[event * e.width + d];
    for (std::int64_t n = begin; n < end; ++n) {
      const std::int64_t r = (n - e.first) * e.length + j;
      sum +=
          dpair_RD[r * e.width + d] * x_ND[n * e.width + d] + weight_R[r] * dz_ND[n * e.width + d];
    }
    dh_ND[event * e.width + d] = sum;
  }
}

struct Inputs {
  const Tensor &h_ND, &x_QD, &k_NA, &q_QA, &p_AD, &w_A, &b_1, &offset_B1;
};

Tensor workspace(Context& ctx, std::int64_t rows, std::int64_t columns) {
  return ctx.empty(DType::f32, {rows, columns}, Tag::workspace);
}
Matrix used(const Tensor& x_RC, const Extents& e) {
  return {x_RC, e.queries * e.length, x_RC.dim(1), x_RC.dim(1)};
}

// Of a block of queries; blocks follow one another in the same memory.
struct Rows {
  Rows(Context& ctx, const Inputs& inputs, std::int64_t queries, std::int64_t length)
      : most(std::clamp<std::int64_t>(kRows / std::max<std::int64_t>(length, 1), 1,
                                      std::max<std::int64_t>(queries, 1))),
        pair_RD(workspace(ctx, most * length, inputs.h_ND.dim(1))),
        act_RA(workspace(ctx, most * length, inputs.w_A.numel())),
        weight_R1(workspace(ctx, most * length, 1)) {}

  // Pairs, arguments of act and weights of the block.
  template <class Act>
  void fill_in(Context& ctx, const Inputs& inputs, const Extents& e) {
    const LaunchShape per_row = per_warp(e.queries * e.length);
    launch<pair_kernel>(per_row, stream_of(ctx), update<float>(pair_RD), update<float>(act_RA),
                        in<float>(inputs.h_ND), in<float>(inputs.x_QD), in<float>(inputs.k_NA),
                        in<float>(inputs.q_QA), in<std::int32_t>(inputs.offset_B1), e);
    const Matrix p_AD(inputs.p_AD), pairs = used(pair_RD, e);
    exact_product(ctx, used(act_RA, e), {pairs}, {p_AD, Transpose::yes}, 1, 1);
    launch<weight_kernel<Act>>(per_row, stream_of(ctx), update<float>(weight_R1), in<float>(act_RA),
                               in<float>(inputs.w_A), in<float>(inputs.b_1),
                               in<std::int32_t>(inputs.offset_B1), e);
  }

  std::int64_t most;  // queries
  Tensor pair_RD, act_RA, weight_R1;
};

// f(extents) for every block of queries.
template <class F>
void each_block(const Rows& rows, const Inputs& inputs, std::int64_t queries, std::int64_t length,
                std::int64_t candidates, F f) {
  for (std::int64_t first = 0; first < queries; first += rows.most)
    f(Extents{first, std::min(rows.most, queries - first), length, inputs.offset_B1.numel() - 1,
              candidates, inputs.w_A.numel(), inputs.h_ND.dim(1)});
}

template <class Act>
void forward(Context& ctx, std::int64_t length, std::int64_t candidates, Tensor& z_MD,
             const Inputs& inputs) {
  Rows rows(ctx, inputs, z_MD.dim(0), length);
  if (length == 0) {
    cuda::fill(ctx, z_MD, 0);
    return;
  }
  each_block(rows, inputs, z_MD.dim(0), length, candidates, [&](const Extents& e) {
    rows.fill_in<Act>(ctx, inputs, e);
    launch<pool_kernel>(per_warp(e.queries), stream_of(ctx), update<float>(z_MD),
                        in<float>(rows.weight_R1), in<float>(inputs.h_ND),
                        in<std::int32_t>(inputs.offset_B1), e);
  });
}

template <class Act>
void backward(Context& ctx, std::int64_t length, const DinGradients& g, const Tensor& dz_ND,
              const Inputs& inputs) {
  const std::int64_t events = inputs.h_ND.dim(0);
  cuda::fill(ctx, g.dh_ND, 0);
  cuda::fill(ctx, g.dk_NA, 0);
  if (events == 0) return;
  Rows rows(ctx, inputs, events, length);
  Tensor dpair_RD = workspace(ctx, rows.most * length, inputs.h_ND.dim(1));
  Tensor dw_RA = workspace(ctx, rows.most * length, inputs.w_A.numel());
  Tensor dweight_R1 = workspace(ctx, rows.most * length, 1);
  const Matrix p_AD(inputs.p_AD);
  each_block(rows, inputs, events, length, 0, [&](const Extents& e) {
    rows.fill_in<Act>(ctx, inputs, e);
    launch<act_gradient_kernel<Act>>(
        per_warp(e.queries * e.length), stream_of(ctx), update<float>(rows.act_RA),
        update<float>(dw_RA), update<float>(dweight_R1), in<float>(dz_ND), in<float>(inputs.h_ND),
        in<float>(inputs.w_A), in<std::int32_t>(inputs.offset_B1), e);
    const Matrix dact = used(rows.act_RA, e), pairs = used(rows.pair_RD, e);
    exact_product(ctx, used(dpair_RD, e), {dact}, {p_AD}, 1, 0);
    exact_product(ctx, Matrix(g.dp_AD), {dact, Transpose::yes}, {pairs}, 1, 1);
    launch<query_sum_kernel>(per_warp(e.queries), stream_of(ctx), update<float>(g.dq_NA),
                             update<float>(g.dx_ND), in<float>(rows.act_RA), in<float>(dpair_RD),
                             in<float>(inputs.h_ND), in<std::int32_t>(inputs.offset_B1), e);
    launch<key_sum_kernel>(per_warp(e.first + e.queries), stream_of(ctx), update<float>(g.dk_NA),
                           update<float>(g.dh_ND), in<float>(rows.act_RA), in<float>(dpair_RD),
                           in<float>(rows.weight_R1), in<float>(dz_ND), in<float>(inputs.x_QD),
                           in<std::int32_t>(inputs.offset_B1), e);
    add_column_sum(ctx, g.dw_A, used(dw_RA, e));
    add_column_sum(ctx, g.db_1, used(dweight_R1, e));
  });
}

}  // namespace

void din_attention(Context& ctx, const DinAttention& options, Tensor& z_ND, const Tensor& h_ND,
                   const Tensor& x_ND, const Tensor& k_NA, const Tensor& q_NA, const Tensor& p_AD,
                   const Tensor& w_A, const Tensor& b_1, const Tensor& offset_B1) {
  const auto run = options.act == Activation::tanh ? forward<Tanh> : forward<Relu>;
  run(ctx, options.max_length, 0, z_ND, {h_ND, x_ND, k_NA, q_NA, p_AD, w_A, b_1, offset_B1});
}

void din_attention_backward(Context& ctx, const DinAttention& options,
                            const DinGradients& gradients, const Tensor& dz_ND, const Tensor& h_ND,
                            const Tensor& x_ND, const Tensor& k_NA, const Tensor& q_NA,
                            const Tensor& p_AD, const Tensor& w_A, const Tensor& b_1,
                            const Tensor& offset_B1) {
  const auto run = options.act == Activation::tanh ? backward<Tanh> : backward<Relu>;
  run(ctx, options.max_length, gradients, dz_ND,
      {h_ND, x_ND, k_NA, q_NA, p_AD, w_A, b_1, offset_B1});
}

void din_candidates(Context& ctx, const DinAttention& options, Tensor& z_MD, const Tensor& h_ND,
                    const Tensor& x_CD, const Tensor& k_NA, const Tensor& q_CA, const Tensor& p_AD,
                    const Tensor& w_A, const Tensor& b_1, const Tensor& offset_B1) {
  const auto run = options.act == Activation::tanh ? forward<Tanh> : forward<Relu>;
  run(ctx, options.max_length, x_CD.dim(0), z_MD,
      {h_ND, x_CD, k_NA, q_CA, p_AD, w_A, b_1, offset_B1});
}

}  // namespace seqrank::cuda
