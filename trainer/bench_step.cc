// Repeats of: matrix-product rate, one rank alone, all ranks. Trains for real, from the same start;
// nothing is saved.
#include "trainer/bench_step.h"

#include <algorithm>

#include "backend/matmul_rate.h"
#include "trainer/bench_runner.h"

namespace seqrank {
namespace {

// Of one world over all repeats, by this rank's clock.
struct Spent {
  double seconds = 0, input_seconds = 0, own_events = 0;

  // Events per second of all ranks.
  double add(const MeasuredSteps& measured) {
    seconds += measured.seconds;
    input_seconds += measured.input_seconds;
    own_events += measured.own_events;
    return static_cast<double>(measured.events) / measured.seconds;
  }
};

// What the profile and the clocks say of the time of one rank, in falling order.
std::vector<StepShare> shares(const Profile& profile, const Spent& spent) {
  std::vector<StepShare> parts;
  double named = spent.input_seconds;
  for (const auto& [name, entry] : profile.operators) {
    parts.push_back({name, entry.seconds, 0});
    named += entry.seconds;
  }
  parts.push_back({"waiting for data", spent.input_seconds, 0});
  parts.push_back({"everything else", spent.seconds - named, 0});
  for (StepShare& part : parts) part.share = part.seconds / spent.seconds;
  std::ranges::sort(parts, [](const auto& a, const auto& b) { return a.seconds > b.seconds; });
  return parts;
}

}  // namespace

std::vector<OptionSpec> bench_step_options() {
  return {{"bench.steps", OptionKind::integer, "50", "steps of one repeat", "1.."},
          {"bench.repeats", OptionKind::integer, "9", "of everything measured", "1..1000"},
          {"bench.warmup", OptionKind::integer, "20", "steps before the first repeat", "0.."}};
}

StepBench bench_step(Context& ctx, const Communicators& ranks, const Dataset& dataset,
                     const Options& options) {
  Communicator& comm = ranks.host;
  const bool on_device = ctx.device() != Device::cpu;
  StepBench result;
  result.threads = ctx.threads();
  result.steps = options.integer("bench.steps");
  result.repeats = options.integer("bench.repeats");
  const auto alone = comm.split(comm.rank(), 0);
  const auto alone_device = on_device ? ranks.device.split(comm.rank(), 0) : nullptr;
  BenchRunner one(ctx, {*alone, on_device ? *alone_device : *alone}, dataset, options);
  BenchRunner all(ctx, ranks, dataset, options);
  const bool first = comm.rank() == 0;
  if (first) one.warm_up(options.integer("bench.warmup"));
  all.warm_up(options.integer("bench.warmup"));

  Profile profile;
  std::vector<double> rates;  // before and after each measurement of one rank
  Spent by_one, by_all, in_profile;
  const auto measure_profiled = [&](Spent& spent) {
    ctx.set_profile(&profile);
    const double events_per_s = spent.add(one.measure(result.steps, *alone));
    ctx.set_profile(nullptr);
    return events_per_s;
  };
  for (std::int64_t repeat = 0; repeat < result.repeats; ++repeat) {
    comm.barrier();
    if (first) {
      rates.push_back(measured_matmul_rate(ctx));
      result.one.events_per_s.push_back(on_device ? by_one.add(one.measure(result.steps, *alone))
                                                  : measure_profiled(in_profile));
      rates.push_back(measured_matmul_rate(ctx));
      if (on_device) measure_profiled(in_profile);
    }
    comm.barrier();
    result.all.events_per_s.push_back(by_all.add(all.measure(result.steps, comm)));
  }
  result.precision = ctx.precision();
  result.precision_note = all.parts().precision_note;
  result.all.ranks = comm.size();
  if (!first) return result;
  result.matmul_flops_per_s = median(rates);
  for (StepSpeed* speed : {&result.one, &result.all}) {
    speed->flops_per_event = profile.flops / in_profile.own_events;
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
  result.parts = shares(profile, in_profile);
  return result;
}

}  // namespace seqrank
