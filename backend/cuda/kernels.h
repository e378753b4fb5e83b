// CUDA implementations of the operators: the signatures of backend/ops/x.h, where the contracts
// are; each is defined in backend/cuda/x.cu. Only dispatch calls these.
#pragma once

#include "backend/ops/activation.h"
#include "backend/ops/additive_attention.h"
#include "backend/ops/attention.h"
#include "backend/ops/binary_cross_entropy.h"
#include "backend/ops/candidate_attention.h"
#include "backend/ops/cast.h"
#include "backend/ops/din_attention.h"
#include "backend/ops/dropout.h"
#include "backend/ops/embedding.h"
#include "backend/ops/hard_attention.h"
#include "backend/ops/l2_normalise.h"
#include "backend/ops/layer_norm.h"
#include "backend/ops/linear.h"
#include "backend/ops/loss_scale.h"
#include "backend/ops/matmul.h"
#include "backend/ops/optimiser.h"
#include "backend/ops/prefix_pool.h"
#include "backend/ops/recurrence.h"
#include "backend/ops/row_dot.h"
#include "backend/ops/row_optimiser.h"
#include "backend/ops/sampled_loss.h"
#include "backend/ops/silu_attention.h"
#include "backend/ops/softmax_cross_entropy.h"
#include "backend/ops/softmax_tiles.h"
#include "backend/ops/top_k.h"
#include "backend/ops/unique_rows.h"

namespace seqrank::cuda {

decltype(seqrank::activate) activate;
decltype(seqrank::activate_backward) activate_backward;
decltype(seqrank::add) add;
decltype(seqrank::multiply) multiply;
decltype(seqrank::scale) scale;
decltype(seqrank::fill) fill;
decltype(seqrank::copy) copy;
decltype(seqrank::copy_into_columns) copy_into_columns;
decltype(seqrank::copy_from_columns) copy_from_columns;

decltype(seqrank::running_attention) running_attention;
decltype(seqrank::running_attention_backward) running_attention_backward;
decltype(seqrank::running_attention_weights) running_attention_weights;
decltype(seqrank::query_attention) query_attention;
decltype(seqrank::query_attention_backward) query_attention_backward;
decltype(seqrank::query_attention_weights) query_attention_weights;
decltype(seqrank::candidate_attention) candidate_attention;
decltype(seqrank::hard_attention) hard_attention;
decltype(seqrank::hard_attention_backward) hard_attention_backward;

decltype(seqrank::multi_head_attention) multi_head_attention;
decltype(seqrank::multi_head_attention_backward) multi_head_attention_backward;
decltype(seqrank::binary_cross_entropy) binary_cross_entropy;
decltype(seqrank::cast) cast;
decltype(seqrank::din_attention) din_attention;
decltype(seqrank::din_attention_backward) din_attention_backward;
decltype(seqrank::din_candidates) din_candidates;
decltype(seqrank::dropout) dropout;
decltype(seqrank::gather_rows) gather_rows;
decltype(seqrank::scatter_add_rows) scatter_add_rows;
decltype(seqrank::l2_normalise) l2_normalise;
decltype(seqrank::l2_normalise_backward) l2_normalise_backward;
decltype(seqrank::layer_norm) layer_norm;
decltype(seqrank::layer_norm_backward) layer_norm_backward;
decltype(seqrank::linear) linear;
decltype(seqrank::linear_backward) linear_backward;
decltype(seqrank::matmul) matmul;
decltype(seqrank::add_squared_norm) add_squared_norm;
decltype(seqrank::clip_scale) clip_scale;
decltype(seqrank::adamw) adamw;
decltype(seqrank::rowwise_adagrad) rowwise_adagrad;
decltype(seqrank::lazy_adam) lazy_adam;
decltype(seqrank::remove_loss_scale) remove_loss_scale;
decltype(seqrank::update_loss_scale) update_loss_scale;
decltype(seqrank::prefix_pool) prefix_pool;
decltype(seqrank::prefix_pool_backward) prefix_pool_backward;
decltype(seqrank::recurrence) recurrence;
decltype(seqrank::recurrence_backward) recurrence_backward;
decltype(seqrank::row_dot) row_dot;
decltype(seqrank::row_dot_backward) row_dot_backward;
decltype(seqrank::sampled_loss) sampled_loss;
decltype(seqrank::leave_out_negatives) leave_out_negatives;
decltype(seqrank::silu_attention) silu_attention;
decltype(seqrank::silu_attention_backward) silu_attention_backward;
decltype(seqrank::softmax_cross_entropy) softmax_cross_entropy;
decltype(seqrank::add_to_softmax) add_to_softmax;
decltype(seqrank::join_softmax) join_softmax;
decltype(seqrank::add_softmax_loss) add_softmax_loss;
decltype(seqrank::softmax_gradient) softmax_gradient;
decltype(seqrank::top_k) top_k;
decltype(seqrank::rank_of) rank_of;
decltype(seqrank::mask_items) mask_items;
decltype(seqrank::sum_rows) sum_rows;

}  // namespace seqrank::cuda
