// The loop of train.cc without what happens between steps.
#include "trainer/bench_runner.h"

#include <algorithm>

namespace seqrank {

using Clock = std::chrono::steady_clock;

BenchRunner::BenchRunner(Context& ctx, const Communicators& ranks, const Dataset& dataset,
                         const Options& options)
    : ctx_(ctx), parts_(ctx, ranks, dataset, options) {}

void BenchRunner::run(std::int64_t steps, MeasuredSteps& measured) {
  const double waited = ctx_.compute().waited_seconds();
  for (std::int64_t i = 0; i < steps; ++i, ++step_) {
    const auto begin = Clock::now();
    const Batch batch = parts_.loader.next(), next = parts_.loader.peek();
    measured.input_seconds += seconds_between(begin, Clock::now());
    parts_.step->run(batch, step_, static_cast<float>(parts_.schedule.rate(step_)),
                     TrainStep::Wish::go_on, &next);
    measured.events += batch.global_events;
    measured.own_events += static_cast<double>(batch.events);
    measured.begin.push_back(begin);
  }
  ctx_.compute().synchronize();
  measured.begin.push_back(Clock::now());
  measured.waited_seconds = ctx_.compute().waited_seconds() - waited;
}

void BenchRunner::warm_up(std::int64_t steps) {
  MeasuredSteps forgotten;
  run(steps, forgotten);
}

MeasuredSteps BenchRunner::measure(std::int64_t steps, Communicator& together) {
  MeasuredSteps measured;
  together.barrier();
  const auto begin = Clock::now();
  run(steps, measured);
  together.barrier();
  measured.seconds = seconds_between(begin, Clock::now());
  return measured;
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

double seconds_between(MeasuredSteps::Time begin, MeasuredSteps::Time end) {
  return std::chrono::duration<double>(end - begin).count();
}

}  // namespace seqrank
