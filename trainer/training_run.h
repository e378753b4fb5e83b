// The parts of one training run and what happens between steps. train() makes one of these; nothing
// else does.
#pragma once

#include <memory>

#include "backend/stopwatch.h"
#include "trainer/checkpoint.h"
#include "trainer/run_folder.h"
#include "trainer/train.h"
#include "trainer/training_parts.h"

namespace seqrank {

class TrainingRun {
 public:
  TrainingRun(Context& ctx, const Communicators& ranks, const Dataset& dataset,
              const Options& options, const TrainObserver& observer, const StopSource& stop);
  TrainResult run();

 private:
  void resume();
  void start_anew();
  TrainOutcome train_steps();
  bool wishes_to_stop() const;
  bool stop_agreed(std::int64_t step);
  bool evaluation_due_at(std::int64_t step) const;
  void absorb(std::int64_t step);
  void log_step(const Batch& batch);
  void show_progress();
  std::int64_t epoch() const;  // of the last step, from 1
  bool evaluate_epoch();
  void save();
  double save_seconds() const;
  bool late_to_save();
  bool out_of_patience() const;
  void tell(const std::string& line) const;

  Context& ctx_;
  Communicator& comm_;  // of hosts
  const Options& options_;
  const TrainObserver& observer_;
  const StopSource& stop_;

  const Dataset& dataset_;
  TrainingParts parts_;
  RunFolder folder_;
  FaultPlan faults_;
  CheckpointStore checkpoints_;
  TrainingState state_;

  std::int64_t first_step_ = 0;  // where this process began
  std::int64_t saved_step_ = 0;  // of the save begun last
  std::int64_t checkpoint_bytes_ = 0;
  bool unsaved_ = false;       // the last save due was not begun, for lack of time
  std::int64_t absorbed_ = 0;  // steps whose summary was looked at
  bool stop_seen_ = false;     // in a summary: every rank sees it at the same step
  double step_seconds_ = 0;    // in training steps and waiting for batches, this process
  std::int64_t events_ = 0;    // trained on by all ranks, this process
  double logged_seconds_ = 0;  // step_seconds_ and events_ at the last log line
  std::int64_t logged_events_ = 0;
  TrainObserver::Progress seen_;  // the newest that is known without waiting
  Stopwatch started_;
};

}  // namespace seqrank
