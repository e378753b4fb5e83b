// Best items of each row of scores, and the rank of one given item. Items out of range are an error
// on a CPU; a GPU, which nobody waits for, does not look: who makes the lists sees to it.
#pragma once

#include "backend/context.h"

namespace seqrank {

// What is found, and its order: the higher score first, of equal ones the lower id.
struct ScoredItem {
  float score;
  std::int32_t item;
};
inline bool better(const ScoredItem& a, const ScoredItem& b) {
  return a.score != b.score ? a.score > b.score : a.item < b.item;
}

// value_BK (f32, falling) and id_BK (i32) are written; equal scores by rising id; rows with fewer
// than K finite scores end in (-inf, -1). Items with score -inf never appear.
void top_k(Context& ctx, Tensor& value_BK, Tensor& id_BK, const Tensor& score_BV);

// rank_B (i32, from 1) is written, conservative: an item ranks below all that score the same.
// tied_B (i32) is written: how many others score the same. A NaN counts as better than the target.
void rank_of(Context& ctx, Tensor& rank_B, Tensor& tied_B, const Tensor& score_BV,
             const Tensor& target_B);

// score_BV[b][item] = -inf for the items of the ragged list seen: item_M (i32), offset_B1 (i32),
// except keep_B[b] (i32; absent: none is kept).
void mask_items(Context& ctx, Tensor& score_BV, const Tensor& item_M, const Tensor& offset_B1,
                const Tensor& keep_B);

}  // namespace seqrank
