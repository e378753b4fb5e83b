// What a rank's batch of a training step holds: a pure function of lengths, seed and step, so that
// every rank knows the whole global batch without a message and reads only its own part of it. Has
// no thread and keeps no batch.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "data/loader.h"
#include "data/negatives.h"
#include "data/sample_order.h"
#include "data/slot_schedule.h"
#include "data/windows.h"

namespace seqrank {

class StepBatches {
 public:
  // As TrainLoader's.
  StepBatches(const Protocol& protocol, Arena& arena, const LoaderOptions& options);
  std::int64_t windows() const { return windows_.count(); }  // 0: there is nothing to train on
  std::int64_t samples() const { return slots_ ? slots_->parts() : windows_.count(); }
  std::int64_t steps_per_epoch() const;
  // See TrainLoader. Any thread.
  std::int64_t events(std::int64_t step);
  // Of one thread.
  Batch make(std::int64_t step);

 private:
  struct Share;
  // A window's last target is an input too where inputs may be hidden.
  std::int64_t extra_inputs() const { return options_.needs.objective == Objective::masked; }
  // Of all ranks, in the order of their places, of which the first is given.
  std::vector<Window> windows_of(std::int64_t step) const;
  std::int64_t first_place(std::int64_t step) const;
  Batch make_next(std::int64_t step, std::span<const Window> all) const;
  Batch make_slots(std::int64_t step);
  // all: the windows of all ranks.
  Batch pack(std::int64_t step, std::span<const Window> all, const Share& share) const;

  const Dataset& dataset_;
  Arena& arena_;
  const LoaderOptions options_;
  const TrainingWindows windows_;
  const SampleOrder order_;
  std::optional<NegativeSampler> negatives_;
  std::optional<SlotSchedule> slots_;  // of session-parallel training
};

}  // namespace seqrank
