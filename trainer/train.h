// The training run: steps, evaluations on the validation split, early stopping, checkpoints,
// resume. Reads no environment and prints nothing: what happens is told through an observer.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "trainer/evaluate.h"
#include "trainer/train_step.h"

namespace seqrank {

// What a person watching wants to know; called on rank 0 only.
struct TrainObserver {
  struct Progress {
    std::int64_t step = 0;    // steps done
    std::int64_t steps = 0;   // of the whole run
    std::int64_t epoch = 0;   // from 1
    std::int64_t epochs = 0;  // 0: the run is counted in steps
    double loss = 0;          // of one of the last steps
    double events_per_s = 0;
  };
  std::function<void(const Progress&)> progress;    // after every step
  std::function<void(const std::string&)> message;  // one line
};

// What asks a run to stop from outside. Asked between steps, on every rank; yes on one is enough.
struct StopSource {
  std::function<bool()> asked = [] { return false; };
  // Until the job is ended by force.
  std::function<double()> seconds_left = [] { return std::numeric_limits<double>::infinity(); };
  double margin = 0;  // seconds before that at which to save and stop; twice a save at the least
};

enum class TrainOutcome { finished, stopped_early, stopped_resumable };

struct TrainResult {
  TrainOutcome outcome = TrainOutcome::finished;
  std::int64_t steps = 0;
  std::int64_t saved_step = 0;  // of the newest checkpoint
  std::int64_t best_step = 0;
  double best_value = 0;  // of the validation at best_step, by this metric
  std::string selection;
  double seconds = 0;                 // of this process, evaluations and saving included
  double events_per_s = 0;            // over all ranks, training steps alone
  BytesByTag peak_bytes{};            // of this rank's device memory
  std::int64_t checkpoint_bytes = 0;  // of the host's, for the copy that saves write from
};

// Everything but "model.*", whose declarations depend on the model's name.
std::vector<OptionSpec> train_options();

// Collective. `options` declares train_options() and the model's, and names a run folder; `dataset`
// is the one it names. A stop ends the run resumably, with a checkpoint where time is left for one.
TrainResult train(Context& ctx, const Communicators& ranks, const Dataset& dataset,
                  const Options& options, const TrainObserver& observer, const StopSource& stop);

}  // namespace seqrank
