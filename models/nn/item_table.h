// Item vectors: looked up for the input and, when tied, scored against for the output. Replicated
// on every rank; splitting the rows over ranks is to come behind this same interface.
#pragma once

#include "backend/ops/softmax_cross_entropy.h"
#include "data/batch.h"
#include "models/nn/tape.h"
#include "models/options.h"

namespace seqrank {

class ItemTable {
 public:
  // The options below, for models to add to their own.
  static std::vector<OptionSpec> options();
  // Declares the input's table where it is one of its own.
  // MaskRow::yes: one row more is looked up, the mask that hides an item, which is never scored.
  enum class MaskRow { no, yes };
  ItemTable(const Options& options, std::int64_t items, std::int64_t width, ParameterStore& store,
            MaskRow mask = MaskRow::no);
  // Declares the output's table, which is the input's too when they are tied. To be called after
  // all other parameters of the model are declared: what the softmax adds to its gradient is
  // complete first, and buckets leave last one first.
  void declare_output(const Options& options, ParameterStore& store);

  Var lookup(Tape& tape, const Batch& batch);
  // Of the batch's targets.
  Var loss(Tape& tape, Var h_ND, const Batch& batch);
  // Of chosen places alone, as masked items are (nn::select_rows): their states and items.
  // global_targets: how many all ranks have.
  Var loss_at(Tape& tape, Var h_MD, const Tensor& target_M, std::int64_t global_targets);
  // score_BV is written.
  void scores(Context& ctx, Tensor& score_BV, const Tensor& h_BD);

 private:
  enum class Score { dot, cosine };
  Score score_;
  SoftmaxOptions softmax_;
  std::int64_t items_;  // V
  Shape input_shape_;
  Parameter* input_ = nullptr;
  Parameter* output_ = nullptr;  // tied: the same
};

}  // namespace seqrank
