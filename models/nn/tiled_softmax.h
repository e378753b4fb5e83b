// The exact softmax over a table of items that is too large for its scores to be held at once, or
// whose rows are dealt out to ranks. Ranks that hold a table together gather some of their states,
// meet their own rows tile by tile, tell each other the largest logit, the sum and the target's of
// each state, and make the gradients tile by tile; those of the states are summed and go back.
// Memory follows the size of a tile, not of the table or the batch. Chooses nothing: item_table.
#pragma once

#include "backend/ops/softmax_cross_entropy.h"
#include "data/batch.h"
#include "models/nn/tape.h"

namespace seqrank::nn {

enum class RowLength { as_is, one };  // one: rows are divided by their length

struct ScoredTable {
  Parameter& table_VD;
  std::int64_t items;  // its first rows
  RowLength length = RowLength::as_is;
};

// As softmax_loss() of losses.h. target_M: of the batch, which knows how many each rank has.
Var tiled_softmax_loss(Tape& tape, Var h_MD, const ScoredTable& scored, const Tensor& target_M,
                       const Batch& batch, const SoftmaxOptions& options);

}  // namespace seqrank::nn
