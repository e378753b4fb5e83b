// The training step. Everything above the marked line changes the model; below it, observation.
#include "trainer/train_step.h"

#include <cmath>

#include "backend/ops/activation.h"
#include "backend/transfer.h"

namespace seqrank {

TrainStep::TrainStep(Context& ctx, Communicator& comm, TrainedModel& model,
                     GradientExchange& exchange, Optimiser& optimiser, std::uint64_t seed,
                     float clip, std::optional<LossScale> loss_scale)
    : ctx_(ctx),
      comm_(comm),
      model_(model),
      exchange_(exchange),
      optimiser_(optimiser),
      seed_(seed),
      clip_(clip),
      loss_scale_(loss_scale.value_or(LossScale())) {
  for (Summary& kept : kept_) {
    kept.sums_3 = ctx.empty(DType::f64, {3}, Tag::workspace);
    kept.host_3 = Tensor(ctx.host_arena(), DType::f64, {3}, Tag::workspace);
  }
  scale_1_ = ctx.empty(DType::f32, {1}, Tag::workspace);
  if (!loss_scale) return;
  loss_scale_2_ = ctx.empty(DType::f32, {2}, Tag::optimiser);
  loss_scale_1_ = loss_scale_2_.rows(0, 1);
  set_loss_scale({loss_scale->first, 0});
}

void TrainStep::run(const Batch& batch, std::int64_t step, float rate, Wish wish,
                    const Batch* next) {
  Summary& kept = kept_[step % kKept];
  Tensor summary = kept.sums_3;
  Tensor loss_1 = summary.rows(0, 1);
  Tensor squared_norm_1 = summary.rows(1, 2);
  Tensor stop_1 = summary.rows(2, 3);
  fill(ctx_, summary, 0);
  if (wish == Wish::stop) fill(ctx_, stop_1, 1);

  exchange_.begin(batch.item_rows.id_U, next ? next->item_rows.id_U : Tensor());  // zero gradients
  const Batch on_device = to_device(ctx_, batch);
  Tape tape(ctx_, TapeMode::training, seed_, exchange_.hooks(), loss_scale_1_);
  Var loss = model_.loss(tape, on_device);  // values arrive as layers read them
  copy(ctx_, loss_1, loss.value());
  tape.backward(loss);  // buckets leave as they fill
  exchange_.finish();   // wait

  optimiser_.add_squared_norm(ctx_, squared_norm_1);
  comm_.stream().wait(ctx_.compute().record());
  comm_.all_reduce(summary, Reduce::sum);
  ctx_.compute().wait(comm_.stream().record());
  remove_loss_scale(ctx_, squared_norm_1, loss_scale_2_);
  clip_scale(ctx_, scale_1_, squared_norm_1, clip_);  // zero where the norm is not finite
  update_loss_scale(ctx_, scale_1_, loss_scale_2_, squared_norm_1, loss_scale_);
  optimiser_.update(ctx_, scale_1_, rate, step + 1);
  exchange_.values_updated();  // they travel under the next forward
  // ---- what follows only observes -------------------------------------------------------------
  kept.copied = copy_to_host(ctx_, kept.host_3, summary);
}

StepSummary TrainStep::summary(std::int64_t step) const {
  const Summary& kept = kept_[step % kKept];
  kept.copied.wait();
  const auto values = kept.host_3.span<double>();
  return {values[0], std::sqrt(values[1]), values[2] > 0};
}

TrainStep::LossScaleState TrainStep::loss_scale() const {
  if (!scales_loss()) return {};
  const Tensor state_2 = to_host(ctx_, loss_scale_2_);
  return {state_2.data<float>()[0], state_2.data<float>()[1]};
}

void TrainStep::set_loss_scale(const LossScaleState& state) {
  SR_ASSERT(scales_loss(), "a loss scale of {} where there is none", state.scale);
  Tensor scale_1 = loss_scale_2_.rows(0, 1), good_steps_1 = loss_scale_2_.rows(1, 2);
  fill(ctx_, scale_1, state.scale);
  fill(ctx_, good_steps_1, state.good_steps);
}

}  // namespace seqrank
