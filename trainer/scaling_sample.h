// One measurement of bench_scaling: a number of ranks trains for some steps, and what each saw is
// brought together. Knows nothing of repeats and of other measurements.
//
// The time of the steps on a rank is split in four. Input: it waited for its batches. Of the time
// that its compute stream stood still for others, exposed communication is as much as that of the
// rank that stood still least; idle is what is more: it waited for slower ranks. Compute is the
// rest. (Not step by step: who is late at one exchange finds the messages there, waits less, and is
// waited for at the next.)
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "collective/communicator.h"
#include "data/dataset.h"
#include "models/options.h"
#include "trainer/step_trace.h"

namespace seqrank {

// What the ranks of a measurement share. one: a rank alone. weak: train.batch samples each. strong:
// train.batch samples in all. apart: train.batch samples each and no word between them, as so many
// worlds of one: what the machine would do at best.
enum class Load { one, weak, strong, apart };
const char* load_name(Load load);

// Shares of the step's time, or seconds; means over ranks.
struct StepParts {
  double compute = 0, exposed = 0, input = 0, idle = 0;
};

// One of the calls that a step makes, in their order.
struct StepCall {
  std::string operation, algorithm;
  double bytes = 0;            // mean over ranks and steps; see CallTiming
  double seconds = 0;          // on its own, apart from steps: of one of several calls back to back
  double bus_bytes_per_s = 0;  // see bus_bytes()
};

// Alike on all ranks of the group, but for the trace and own counts.
struct ScalingSample {
  double events_per_s = 0;     // all ranks together
  double step_seconds = 0;     // mean over steps, of the slowest rank
  double exposed_seconds = 0;  // of a step, mean
  StepParts shares;
  std::int64_t peak_bytes = 0;  // of the rank with most
  std::vector<StepCall> calls;  // in turn only
  // Alone: of a rank of as many as the group has, at the pace of the slowest.
  StepTrace trace;
  double flops_per_event = 0;
  double events_per_step = 0;  // of this rank
  std::int64_t parameters = 0;
  std::string precision_note;  // see TrainingParts
};

struct SampleInput {
  const Dataset& dataset;
  const Options& options;  // of training, as they are for this measurement
  Load load;
  int threads;
  std::int64_t warmup, steps;
};

// Collective over the group. Makes everything anew, so that nothing is left by another measurement.
ScalingSample take_sample(const SampleInput& input, Communicator& group);

}  // namespace seqrank
