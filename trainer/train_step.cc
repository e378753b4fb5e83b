// The training step. Everything above the marked line changes the model; below it, observation.
#include "trainer/train_step.h"

#include <cmath>

#include "backend/ops/activation.h"

namespace seqrank {

TrainStep::TrainStep(Context& ctx, Communicator& comm, TrainedModel& model,
                     GradientExchange& exchange, ShardedAdamW& optimiser, std::uint64_t seed,
                     float clip)
    : ctx_(ctx),
      comm_(comm),
      model_(model),
      exchange_(exchange),
      optimiser_(optimiser),
      seed_(seed),
      clip_(clip) {
  for (Tensor& summary : summary_3_) summary = ctx.empty(DType::f64, {3}, Tag::workspace);
  scale_1_ = ctx.empty(DType::f32, {1}, Tag::workspace);
}

void TrainStep::run(const Batch& batch, std::int64_t step, float rate, Wish wish) {
  Tensor summary = summary_3_[step % kKept];
  Tensor loss_1 = summary.rows(0, 1);
  Tensor squared_norm_1 = summary.rows(1, 2);
  Tensor stop_1 = summary.rows(2, 3);
  fill(ctx_, summary, 0);
  if (wish == Wish::stop) fill(ctx_, stop_1, 1);

  exchange_.begin();  // zero gradients
  Tape tape(ctx_, TapeMode::training, seed_, exchange_.hooks());
  Var loss = model_.loss(tape, batch);  // values arrive as layers read them
  copy(ctx_, loss_1, loss.value());
  tape.backward(loss);  // buckets leave as they fill
  exchange_.finish();   // wait

  optimiser_.add_squared_norm(ctx_, squared_norm_1);
  comm_.stream().wait(ctx_.compute().record());
  comm_.all_reduce(summary, Reduce::sum);
  ctx_.compute().wait(comm_.stream().record());
  clip_scale(ctx_, scale_1_, squared_norm_1, clip_);  // zero where the norm is not finite
  optimiser_.update(ctx_, scale_1_, rate, step + 1);
  exchange_.values_updated();  // they travel under the next forward
  // ---- what follows only observes -------------------------------------------------------------
}

StepSummary TrainStep::summary(std::int64_t step) const {
  ctx_.compute().synchronize();
  const auto values = summary_3_[step % kKept].span<double>();
  return {values[0], std::sqrt(values[1]), values[2] > 0};
}

}  // namespace seqrank
