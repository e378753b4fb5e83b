// What click-through models share: vectors of the events with what people thought of them, of the
// items they are asked about, and of the people; the dense layers that end in a logit; and ranking
// the whole catalogue by asking for every item. How a candidate meets the past is each model's own.
#pragma once

#include <functional>

#include "models/nn/input_layer.h"
#include "models/nn/mlp.h"

namespace seqrank {

class ClickInput {
 public:
  // For models to add to their own.
  static std::vector<OptionSpec> options();
  // Declares its parameters.
  ClickInput(const ModelInput& input, std::int64_t width);

  BatchNeeds needs() const;
  struct Vectors {
    Var event_ND, target_ND;
    Var user_ND;  // absent where no columns of users are read
  };
  // One item table serves both. An event's label is in its vector, a target's is not.
  Vectors operator()(Tape& tape, const Batch& batch) const;
  // The same without targets, in inference.
  Vectors history(Tape& tape, const Batch& batch) const;
  // Vectors of the items [begin, end), in inference. Throws Error(usage) where columns of targets
  // are read: of items that nobody was asked about there are none.
  Tensor candidates(Context& ctx, std::int64_t begin, std::int64_t end) const;
  std::int64_t items() const { return table_VD_->shape[0]; }
  bool has_user() const { return !user_columns_.empty(); }
  bool has_target_columns() const { return !target_columns_.empty(); }

 private:
  Var dressed_events(Tape& tape, Var event_ND, const Batch& batch) const;

  Parameter* table_VD_;
  Parameter* label_D1_;  // added to the vector of an event whose label is 1
  ColumnVectors event_columns_, target_columns_, user_columns_;
};

// MLP([z, x, z x, user]) -> logit, z: what the past says of candidate x.
class ClickHead {
 public:
  static std::vector<OptionSpec> options() { return nn::mlp_options(); }
  ClickHead(const ModelInput& input, std::int64_t width, bool has_user, float dropout);
  // [M, 1]. user_MD may be absent as the constructor says.
  Var operator()(Tape& tape, Var z_MD, Var x_MD, Var user_MD, const Batch& batch) const;

 private:
  nn::Mlp mlp_;
  float dropout_;
};

// The mean over the global targets of the binary cross-entropy of their labels. Throws Error(data)
// for a batch without labels.
Var click_loss(Tape& tape, Var logit_N1, const Batch& batch);

// A model of clicks whose logits come of one pass over events and what each is asked about.
class ClickScorer : public TrainedModel, public ClickModel {
 public:
  BatchNeeds needs() const override { return input_.needs(); }
  Var loss(Tape& tape, const Batch& batch) override;
  void score_targets(Context& ctx, const Batch& batch, Tensor& logit_N) override;
  bool ranks_catalogue() const override { return !input_.has_target_columns(); }

 protected:
  ClickScorer(const ModelInput& input, std::int64_t width) : input_(input, width) {}
  virtual Var logits(Tape& tape, const Batch& batch) = 0;  // [N, 1]

  ClickInput input_;
};

// Row b C + c: what x_ND has at the last event of sequence b, for C candidates.
Var after_last_events(Context& ctx, const Tensor& x_ND, const Batch& batch,
                      std::int64_t candidates);

// score_BV: a logit for every item as a candidate after each sequence. As many candidates at once
// as keep the rows of a chunk to some ten thousands.
// meet: z_MD of C candidates x_CD with the past of each of the batch's B sequences; row b C + c.
using MeetCandidates = std::function<Var(const Tensor& x_CD)>;
void score_catalogue(Tape& tape, Tensor& score_BV, const Batch& batch, const ClickInput& input,
                     Var user_ND, const ClickHead& head, const MeetCandidates& meet);

}  // namespace seqrank
