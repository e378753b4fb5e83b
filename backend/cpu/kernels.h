// CPU implementations of the basic operators; contracts are in backend/ops/x.h, checks in
// backend/ops/x.cc. Only dispatch calls these.
#pragma once

#include "backend/context.h"
#include "backend/ops/activation.h"
#include "backend/ops/dropout.h"
#include "backend/ops/loss_scale.h"
#include "backend/ops/matmul.h"
#include "backend/ops/optimiser.h"
#include "backend/ops/row_optimiser.h"
#include "backend/ops/softmax_tiles.h"
#include "backend/ops/unique_rows.h"

namespace seqrank::cpu {

void matmul(Context& ctx, Tensor& c_MN, const Tensor& a, Transpose transpose_a, const Tensor& b,
            Transpose transpose_b, float alpha, float beta);
// c_MN = op(a) op(b) + beta c with operands rounded as ctx.precision() says: what layers multiply
// by. beta is 0 or 1.
void layer_product(Context& ctx, Tensor& c_MN, const Tensor& a, Transpose transpose_a,
                   const Tensor& b, Transpose transpose_b, float beta);

void linear(Context& ctx, Tensor& y_NM, const Tensor& x_NK, const Tensor& w_MK, const Tensor& b_M);
void linear_backward(Context& ctx, Tensor& dx_NK, Tensor& dw_MK, Tensor& db_M, const Tensor& dy_NM,
                     const Tensor& x_NK, const Tensor& w_MK);

void cast(Context& ctx, Tensor& y, const Tensor& x);

void gather_rows(Context& ctx, Tensor& y_ND, const Tensor& table_VD, const Tensor& id_N);
void scatter_add_rows(Context& ctx, Tensor& table_VD, const Tensor& id_N, const Tensor& y_ND);
void sum_rows(Context& ctx, Tensor& sum_UD, const Tensor& x_ND, const UniqueRows& rows);

void activate(Context& ctx, Activation f, Tensor& y, const Tensor& x);
void activate_backward(Context& ctx, Activation f, Tensor& dx, const Tensor& dy,
                       const Tensor& kept);
void add(Context& ctx, Tensor& y, const Tensor& x);
void multiply(Context& ctx, Tensor& z, const Tensor& x, const Tensor& y);
void scale(Context& ctx, Tensor& y, float factor);
void fill(Context& ctx, Tensor& y, float value);
void copy(Context& ctx, Tensor& y, const Tensor& x);
void copy_into_columns(Context& ctx, Tensor& y_NM, std::int64_t begin, const Tensor& x_NK);
void copy_from_columns(Context& ctx, Tensor& y_NK, const Tensor& x_NM, std::int64_t begin);

void layer_norm(Context& ctx, Tensor& y_ND, Tensor& mean_N, Tensor& rstd_N, const Tensor& x_ND,
                const Tensor& gain_D, const Tensor& bias_D, float eps);
void layer_norm_backward(Context& ctx, Tensor& dx_ND, Tensor& dgain_D, Tensor& dbias_D,
                         const Tensor& dy_ND, const Tensor& x_ND, const Tensor& mean_N,
                         const Tensor& rstd_N, const Tensor& gain_D);

void dropout(Context& ctx, Tensor& y_ND, const Tensor& x_ND, const DropoutKey& key,
             const Tensor& place_B, const Tensor& offset_B1);

void add_to_softmax(Context& ctx, Tensor& state_N4, Tensor& logit_NT, const Tensor& target_N,
                    const TileItems& items);
void join_softmax(Context& ctx, Tensor& state_N4, const Tensor& state_RN4);
void add_softmax_loss(Context& ctx, Tensor& loss_1, const Tensor& state_N4,
                      const SoftmaxTarget& wanted);
void softmax_gradient(Context& ctx, Tensor& logit_NT, const Tensor& state_N4,
                      const Tensor& target_N, const TileItems& items, const SoftmaxTarget& wanted);

void add_squared_norm(Context& ctx, Tensor& sum_1, const Tensor& x);
void clip_scale(Context& ctx, Tensor& scale_1, const Tensor& squared_norm_1, float clip);
void remove_loss_scale(Context& ctx, Tensor& squared_norm_1, const Tensor& state_2);
void update_loss_scale(Context& ctx, Tensor& scale_1, Tensor& state_2, const Tensor& squared_norm_1,
                       const LossScale& options);
void adamw(Context& ctx, Tensor& w, Tensor& m, Tensor& v, const Tensor& g, const Tensor& scale_1,
           const AdamW& options, float rate, const UpdateParts& parts, std::int64_t updates);
void rowwise_adagrad(Context& ctx, Tensor& w_KD, Tensor& sum_K, const Tensor& id_U,
                     const Tensor& g_UD, const Tensor& scale_1, const RowRate& rate);
void lazy_adam(Context& ctx, Tensor& w_KD, LazyMoments& moments, const Tensor& id_U,
               const Tensor& g_UD, const Tensor& scale_1, const AdamW& options,
               const RowRate& rate);

}  // namespace seqrank::cpu
