// Contracts of ranking: shapes, then the device's implementation.
#include "backend/ops/top_k.h"

#include "backend/dispatch.h"
#include "backend/ops/expect.h"

namespace seqrank {
namespace cpu {

void top_k(Context& ctx, Tensor& value_BK, Tensor& id_BK, const Tensor& score_BV);
void rank_of(Context& ctx, Tensor& rank_B, Tensor& tied_B, const Tensor& score_BV,
             const Tensor& target_B);
void mask_items(Context& ctx, Tensor& score_BV, const Tensor& item_M, const Tensor& offset_B1,
                const Tensor& keep_B);

}  // namespace cpu

void top_k(Context& ctx, Tensor& value_BK, Tensor& id_BK, const Tensor& score_BV) {
  expect_rank("top_k", "score_BV", score_BV, 2);
  expect_rank("top_k", "value_BK", value_BK, 2);
  const std::int64_t b = score_BV.dim(0), k = value_BK.dim(1);
  expect("top_k", "score_BV", score_BV, DType::f32, {b, score_BV.dim(1)});
  expect("top_k", "value_BK", value_BK, DType::f32, {b, k});
  expect("top_k", "id_BK", id_BK, DType::i32, {b, k});
  SR_DISPATCH(ctx, top_k, value_BK, id_BK, score_BV);
}

void rank_of(Context& ctx, Tensor& rank_B, Tensor& tied_B, const Tensor& score_BV,
             const Tensor& target_B) {
  expect_rank("rank_of", "score_BV", score_BV, 2);
  const std::int64_t b = score_BV.dim(0);
  expect("rank_of", "score_BV", score_BV, DType::f32, {b, score_BV.dim(1)});
  expect("rank_of", "target_B", target_B, DType::i32, {b});
  expect("rank_of", "rank_B", rank_B, DType::i32, {b});
  expect("rank_of", "tied_B", tied_B, DType::i32, {b});
  SR_DISPATCH(ctx, rank_of, rank_B, tied_B, score_BV, target_B);
}

void mask_items(Context& ctx, Tensor& score_BV, const Tensor& item_M, const Tensor& offset_B1,
                const Tensor& keep_B) {
  expect_rank("mask_items", "score_BV", score_BV, 2);
  expect_rank("mask_items", "item_M", item_M, 1);
  const std::int64_t b = score_BV.dim(0);
  expect("mask_items", "score_BV", score_BV, DType::f32, {b, score_BV.dim(1)});
  expect("mask_items", "item_M", item_M, DType::i32, {item_M.dim(0)});
  expect("mask_items", "offset_B1", offset_B1, DType::i32, {b + 1});
  if (keep_B) expect("mask_items", "keep_B", keep_B, DType::i32, {b});
  SR_DISPATCH(ctx, mask_items, score_BV, item_M, offset_B1, keep_B);
}

}  // namespace seqrank
