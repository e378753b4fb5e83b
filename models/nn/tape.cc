// Backward order and gradient bookkeeping; knows no layer.
#include "models/nn/tape.h"

#include "backend/ops/activation.h"
#include "backend/ops/embedding.h"

namespace seqrank {

Tape::Tape(Context& ctx, TapeMode mode, std::uint64_t seed, TapeHooks hooks, Tensor loss_scale_1)
    : ctx_(ctx),
      mode_(mode),
      seed_(seed),
      hooks_(std::move(hooks)),
      loss_scale_1_(std::move(loss_scale_1)) {}

void Tape::record(const Var& made, std::vector<Parameter*> uses, std::function<void()> step) {
  if (mode_ == TapeMode::inference) return;
  for (const Parameter* parameter : uses) {
    if (parameter->index >= static_cast<int>(pending_uses_.size()))
      pending_uses_.resize(parameter->index + 1, 0);
    ++pending_uses_[parameter->index];
  }
  steps_.push_back({made, std::move(uses), std::move(step)});
}

Var Tape::fetch_rows(Parameter& table_VD, const Tensor& id_U) {
  for (const Fetched& fetched : fetched_)
    if (fetched.table == &table_VD && fetched.ids == id_U.raw()) return fetched.row_UD;
  const FetchedRows rows =
      hooks_.fetch_rows ? hooks_.fetch_rows(table_VD, id_U) : own_rows(table_VD, id_U);
  Var row_UD(rows.row_UD);
  fetched_.push_back({&table_VD, id_U.raw(), row_UD});
  record(row_UD, {}, [give_back = rows.give_back, row_UD] { give_back(row_UD.gradient()); });
  return row_UD;
}

FetchedRows Tape::own_rows(Parameter& table_VD, const Tensor& id_U) {
  Tensor row_UD = ctx_.empty(DType::f32, {id_U.dim(0), table_VD.shape[1]});
  gather_rows(ctx_, row_UD, table_VD.value(), id_U);
  return {row_UD, [this, &table_VD, id_U](const Tensor& drow_UD) {
            scatter_add_rows(ctx_, table_VD.gradient, id_U, drow_UD);
          }};
}

void Tape::give_gradient(Var& var, Tensor gradient) {
  Tensor& sum = var.node_->gradient;
  SR_ASSERT(gradient.shape() == var.value().shape(), "gradient {} of a value {}",
            gradient.shape().str(), var.value().shape().str());
  if (!sum) {
    sum = std::move(gradient);
  } else {
    add(ctx_, sum, gradient);
  }
}

void Tape::done_with(const std::vector<Parameter*>& uses) {
  for (Parameter* parameter : uses)
    if (--pending_uses_[parameter->index] == 0 && hooks_.complete) hooks_.complete(*parameter);
}

void Tape::backward(Var& loss) {
  SR_ASSERT(mode_ == TapeMode::training, "backward of an inference tape");
  Tensor one = ctx_.empty(loss.value().dtype(), loss.value().shape());
  loss.node_->gradient = one;  // its presence is what counts; see losses.h
  while (!steps_.empty()) {
    Step step = std::move(steps_.back());
    steps_.pop_back();
    if (step.made.gradient()) step.run();
    step.made.node_->gradient = Tensor();  // nobody before this step reads it
    done_with(step.uses);
  }
}

}  // namespace seqrank
