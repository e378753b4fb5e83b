// Speed of the training step: one rank against the matrix-product rate of the same core, and
// several ranks against one, measured in turns in one run so that the machine's mood meets all
// alike.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "backend/context.h"
#include "collective/communicator.h"
#include "data/dataset.h"
#include "models/options.h"

namespace seqrank {

struct StepSpeed {
  int ranks = 1;
  std::vector<double> events_per_s;  // of each repeat, all ranks together
  double median_events_per_s = 0;
  double flops_per_event = 0;  // model FLOPs: products of forward and backward
  double flops_per_s = 0;      // median events/s * FLOPs per event
};

// Of the time of a step on one rank.
struct StepShare {
  std::string part;
  double seconds = 0;
  double share = 0;
};

struct StepBench {
  Precision precision = Precision::fp32;  // that training multiplied in; the matrix product: fp32
  std::string precision_note;             // see TrainingParts
  int threads = 1;                        // of a rank
  double matmul_flops_per_s = 0;          // of one rank's threads, median over the repeats
  std::vector<double> matmul_share;       // of each repeat: one.flops_per_s / the rate around it
  std::vector<double> speedups;           // of each repeat: all / one
  StepSpeed one, all;                     // `all` equals `one` in a world of one
  double share_of_matmul_rate = 0;        // median of matmul_share
  double speedup = 1;                     // median of speedups
  std::vector<StepShare> parts;           // falling
  std::int64_t steps = 0, repeats = 0;
};

std::vector<OptionSpec> bench_step_options();

// Collective; the result is whole on rank 0. `options` declares train_options(), the model's and
// bench_step_options(). On a GPU a profile waits after every operator, so that parts are measured
// in steps of their own, and their shares are of these.
StepBench bench_step(Context& ctx, const Communicators& ranks, const Dataset& dataset,
                     const Options& options);

}  // namespace seqrank
