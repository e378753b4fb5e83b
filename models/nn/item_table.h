// Item vectors: looked up for the input and, when tied, scored against for the output, with the
// loss that teaches a model to rank them. Its rows are all here, or dealt out to ranks: whoever
// allocates decides, and models do not see it.
// With the exact softmax a tied table is read by rows and whole. With losses over drawn negatives
// it is read by rows alone: those of a step's inputs, targets and negatives, fetched at once.
#pragma once

#include "backend/ops/softmax_cross_entropy.h"
#include "data/batch.h"
#include "models/nn/loss_options.h"
#include "models/nn/tape.h"

namespace seqrank {

class ItemTable {
 public:
  // The options below, for models to add to their own.
  static std::vector<OptionSpec> options();
  // Declares the table where it is read by rows alone: one of the input's own, or tied without the
  // softmax. MaskRow::yes: one row more is looked up, the mask that hides an item, which is never
  // scored. Throws Error(usage) for options of losses that do not go together.
  enum class MaskRow { no, yes };
  ItemTable(const Options& options, std::int64_t items, std::int64_t width, ParameterStore& store,
            MaskRow mask = MaskRow::no);
  // Declares the output's table, which is the input's too when they are tied. To be called after
  // all other parameters of the model are declared: what the softmax adds to its gradient is
  // complete first, and buckets leave last one first.
  void declare_output(const Options& options, ParameterStore& store);

  // What the loss reads of a batch, besides what else a model reads.
  BatchNeeds needs(BatchNeeds others = {}) const;
  Var lookup(Tape& tape, const Batch& batch);
  // Of the batch's targets, by loss.kind.
  Var loss(Tape& tape, Var h_ND, const Batch& batch);
  // Of chosen places alone, as masked items are (nn::select_rows): their states and items.
  // Exact softmax only.
  Var loss_at(Tape& tape, Var h_MD, const Tensor& target_M, const Batch& batch);
  // What meets the rows, of states as encoders give them.
  Tensor scored_states(Context& ctx, const Tensor& h_BD) const;
  // score_BV is written, of scored_states().
  void scores(Context& ctx, Tensor& score_BV, const Tensor& h_BD) const;
  // Likewise against rows [begin, end) of those that are here; see split().
  void score_rows(Context& ctx, Tensor& score_BT, const Tensor& h_BD, std::int64_t begin,
                  std::int64_t end) const;
  // Likewise against the rows row_K (i32) of those here, which are given.
  void score_items(Context& ctx, Tensor& score_BK, const Tensor& h_BD, const Tensor& row_K) const;
  Tensor vectors(Context& ctx, const Tensor& row_K) const;
  std::int64_t rows_here() const { return split().rows_here(items_); }  // that are scored
  RowSplit split() const { return output_->split; }
  std::int64_t width() const { return output_->shape[1]; }

 private:
  enum class Score { dot, cosine };
  Var sampled_loss(Tape& tape, Var h_ND, const Batch& batch);
  void score_vectors(Context& ctx, Tensor& score_BT, const Tensor& h_BD, Tensor row_TD) const;

  Score score_;
  SoftmaxOptions softmax_;
  LossChoice choice_;
  std::int64_t items_;  // V
  Shape input_shape_;
  Parameter* input_ = nullptr;
  Parameter* output_ = nullptr;  // tied: the same
};

}  // namespace seqrank
