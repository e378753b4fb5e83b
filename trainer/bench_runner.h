// One world's training as benchmarks run it: real steps from the same start, timed, nothing saved.
// What is measured against what, and how often, is the benchmark's business.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "trainer/training_parts.h"

namespace seqrank {

// Of the steps of one measurement; seconds as this rank's host saw them.
struct MeasuredSteps {
  using Time = std::chrono::steady_clock::time_point;
  double seconds = 0;         // of all steps, until every rank was done
  std::int64_t events = 0;    // of all ranks
  double own_events = 0;      // of this rank
  double input_seconds = 0;   // waited for batches
  double waited_seconds = 0;  // the compute stream stood still for others
  std::vector<Time> begin;    // of each step, and the end of the last
};

class BenchRunner {
 public:
  BenchRunner(Context& ctx, const Communicators& ranks, const Dataset& dataset,
              const Options& options);

  void warm_up(std::int64_t steps);
  // `together`: all ranks that measure at this time; they begin and end at the same moment.
  MeasuredSteps measure(std::int64_t steps, Communicator& together);

  const TrainingParts& parts() const { return parts_; }

 private:
  void run(std::int64_t steps, MeasuredSteps& measured);

  Context& ctx_;
  TrainingParts parts_;
  std::int64_t step_ = 0;
};

// Of an even number of values, the middle of the two in the middle; 0 of none.
double median(std::vector<double> values);

double seconds_between(MeasuredSteps::Time begin, MeasuredSteps::Time end);

}  // namespace seqrank
