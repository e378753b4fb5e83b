// One training step, written to be read aloud.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "backend/ops/loss_scale.h"
#include "models/model.h"
#include "trainer/optimiser.h"

namespace seqrank {

// Of one step, over all ranks.
struct StepSummary {
  double loss = 0;       // mean over the global targets
  double grad_norm = 0;  // before clipping, without the loss scale; not finite: the step was
                         // skipped on every rank
  bool stop = false;     // some rank asked to stop
};

class TrainStep {
 public:
  // All must outlive this; the store is allocated. comm: of devices. clip: largest gradient norm,
  // 0 = none.
  TrainStep(Context& ctx, Communicator& comm, TrainedModel& model, GradientExchange& exchange,
            Optimiser& optimiser, std::uint64_t seed, float clip,
            std::optional<LossScale> loss_scale = {});

  enum class Wish { go_on, stop };
  // step counts from 0, and skipped steps count too: AdamW's bias correction takes step + 1 for the
  // number of updates, so after a skip in the first steps it corrects slightly less. rate: learning
  // rate. wish: of this rank; see summary().stop. next: the batch of the step that follows, where
  // it is known, on all ranks or on none: which of its rows each rank reads is told under this
  // step.
  void run(const Batch& batch, std::int64_t step, float rate, Wish wish,
           const Batch* next = nullptr);

  // The summary of `step`, which is the newest or one of the two before. Blocks the host until that
  // step's numbers are there; two steps later they are, and nothing waits.
  StepSummary summary(std::int64_t step) const;
  static constexpr int kKept = 3;

  bool scales_loss() const { return static_cast<bool>(loss_scale_2_); }
  // For a save and for going on from it: of the next step; zeros without a loss scale. Reading
  // blocks the host.
  struct LossScaleState {
    float scale = 0, good_steps = 0;
  };
  LossScaleState loss_scale() const;
  void set_loss_scale(const LossScaleState& state);

 private:
  Context& ctx_;
  Communicator& comm_;
  TrainedModel& model_;
  GradientExchange& exchange_;
  Optimiser& optimiser_;
  std::uint64_t seed_;
  float clip_;
  struct Summary {
    Tensor sums_3;  // f64: loss, squared gradient norm, ranks that wish to stop
    Tensor host_3;  // the same, once `copied`
    Event copied;
  };
  std::array<Summary, kKept> kept_;
  Tensor scale_1_;
  LossScale loss_scale_;
  Tensor loss_scale_2_;  // its state, absent where there is none; loss_scale_1_: the scale of it
  Tensor loss_scale_1_;
};

}  // namespace seqrank
