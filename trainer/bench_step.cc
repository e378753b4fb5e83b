// Repeats of: matrix-product rate, one rank alone, all ranks. Trains for real, from the same start;
// nothing is saved.
#include "trainer/bench_step.h"

#include <algorithm>
#include <chrono>

#include "backend/matmul_rate.h"
#include "trainer/training_parts.h"

namespace seqrank {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

// One world's training, kept between repeats.
class Runner {
 public:
  Runner(Context& ctx, Communicator& comm, const Dataset& dataset, const Options& options)
      : ctx_(ctx), comm_(comm), parts_(ctx, comm, dataset, options) {}

  void run(std::int64_t steps) {
    for (std::int64_t i = 0; i < steps; ++i, ++step_) {
      const auto waiting = Clock::now();
      const Batch batch = parts_.loader.next();
      wait_seconds_ += seconds_since(waiting);
      parts_.step->run(batch, step_, static_cast<float>(parts_.schedule.rate(step_)),
                       TrainStep::Wish::go_on);
      events_ += batch.global_events;
      own_events_ += batch.events;
    }
    ctx_.compute().synchronize();
  }

  // Events per second of all ranks over `steps` steps.
  double measure(std::int64_t steps) {
    comm_.barrier();
    events_ = 0;
    const auto begin = Clock::now();
    run(steps);
    comm_.barrier();
    const double seconds = seconds_since(begin);
    seconds_ += seconds;
    return static_cast<double>(events_) / seconds;
  }

  void forget() { seconds_ = wait_seconds_ = own_events_ = 0; }
  double seconds() const { return seconds_; }
  double wait_seconds() const { return wait_seconds_; }
  double own_events() const { return own_events_; }

 private:
  Context& ctx_;
  Communicator& comm_;
  TrainingParts parts_;
  std::int64_t step_ = 0;
  std::int64_t events_ = 0;
  double own_events_ = 0;
  double seconds_ = 0;
  double wait_seconds_ = 0;
};

// What the profile and the clocks say of the time of one rank, in falling order.
std::vector<StepShare> shares(const Profile& profile, const Runner& runner) {
  std::vector<StepShare> parts;
  double named = runner.wait_seconds();
  for (const auto& [name, entry] : profile.operators) {
    parts.push_back({name, entry.seconds, 0});
    named += entry.seconds;
  }
  parts.push_back({"waiting for data", runner.wait_seconds(), 0});
  parts.push_back({"everything else", runner.seconds() - named, 0});
  for (StepShare& part : parts) part.share = part.seconds / runner.seconds();
  std::ranges::sort(parts, [](const auto& a, const auto& b) { return a.seconds > b.seconds; });
  return parts;
}

}  // namespace

std::vector<OptionSpec> bench_step_options() {
  return {{"bench.steps", OptionKind::integer, "50", "steps of one repeat", "1.."},
          {"bench.repeats", OptionKind::integer, "9", "of everything measured", "1..1000"},
          {"bench.warmup", OptionKind::integer, "20", "steps before the first repeat", "0.."}};
}

StepBench bench_step(Context& ctx, Communicator& comm, const Dataset& dataset,
                     const Options& options) {
  StepBench result;
  result.threads = ctx.threads();
  result.steps = options.integer("bench.steps");
  result.repeats = options.integer("bench.repeats");
  const auto alone = comm.split(comm.rank(), 0);
  Runner one(ctx, *alone, dataset, options);
  Runner all(ctx, comm, dataset, options);
  const bool first = comm.rank() == 0;
  if (first) one.run(options.integer("bench.warmup"));
  all.run(options.integer("bench.warmup"));

  Profile profile;
  std::vector<double> rates;  // before and after each measurement of one rank
  one.forget();
  for (std::int64_t repeat = 0; repeat < result.repeats; ++repeat) {
    comm.barrier();
    if (first) {
      rates.push_back(measured_matmul_rate(ctx));
      ctx.set_profile(&profile);
      result.one.events_per_s.push_back(one.measure(result.steps));
      ctx.set_profile(nullptr);
      rates.push_back(measured_matmul_rate(ctx));
    }
    comm.barrier();
    result.all.events_per_s.push_back(all.measure(result.steps));
  }
  result.all.ranks = comm.size();
  if (!first) return result;
  result.matmul_flops_per_s = median(rates);
  for (StepSpeed* speed : {&result.one, &result.all}) {
    speed->flops_per_event = profile.flops / one.own_events();
    speed->median_events_per_s = median(speed->events_per_s);
    speed->flops_per_s = speed->median_events_per_s * speed->flops_per_event;
  }
  for (std::int64_t i = 0; i < result.repeats; ++i) {
    const double around = (rates[2 * i] + rates[2 * i + 1]) / 2;
    result.matmul_share.push_back(result.one.events_per_s[i] * result.one.flops_per_event / around);
    result.speedups.push_back(result.all.events_per_s[i] / result.one.events_per_s[i]);
  }
  result.share_of_matmul_rate = median(result.matmul_share);
  result.speedup = median(result.speedups);
  result.parts = shares(profile, one);
  return result;
}

}  // namespace seqrank
