// Models whose state after each event ranks the items that may come next: a model of this kind
// writes how it reads a history, and has its loss and its scores here. Holds no other parameters
// than the item table.
#pragma once

#include "models/model.h"
#include "models/nn/item_table.h"

namespace seqrank {

class ItemRanker : public TrainedModel, public StateRanker {
 public:
  Var loss(Tape& tape, const Batch& batch) override;
  void score_next(Context& ctx, const Batch& batch, Tensor& score_BV) override;
  Tensor next_states(Context& ctx, const Batch& batch, const TapeHooks& hooks) override;
  const ItemTable& item_table() const override { return items_; }

 protected:
  // Declares the item table's first parameters; declare_output() is left to the model, whose own
  // parameters come before.
  ItemRanker(const ModelInput& input, std::int64_t width,
             ItemTable::MaskRow mask = ItemTable::MaskRow::no)
      : items_(input.options, input.items, width, input.parameters, mask) {}
  // What meets the items, of states that encode() gives.
  virtual Var head(Tape&, Var h_MD) { return h_MD; }
  // The state [N, D] after each event. weight_N, where it is given and the model attends: as
  // AttentionModel::attention_weights().
  virtual Var encode(Tape& tape, const Batch& batch, Tensor* weight_N) = 0;

  ItemTable items_;
};

// One that tells what its encoder looks at.
class AttentiveRanker : public ItemRanker, public AttentionModel {
 public:
  Tensor attention_weights(Context& ctx, const Batch& batch, const TapeHooks& hooks) override;

 protected:
  using ItemRanker::ItemRanker;
};

}  // namespace seqrank
