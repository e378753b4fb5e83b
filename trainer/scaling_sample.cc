// Each rank's clock and log, brought together by sums and extremes over ranks: no rank's clock is
// compared with another's.
#include "trainer/scaling_sample.h"

#include <algorithm>
#include <chrono>
#include <map>

#include "backend/check.h"
#include "trainer/bench_runner.h"
#include "trainer/peak_memory.h"
#include "trainer/scaling_model.h"

namespace seqrank {
namespace {

bool alone(Load load) {
  return load == Load::one || load == Load::apart;
}

// The values of all ranks, one by one.
std::vector<double> over_ranks(Communicator& group, std::vector<double> values, Reduce op) {
  Arena arena;
  Tensor x(arena, DType::f64, {static_cast<std::int64_t>(values.size())}, Tag::workspace);
  std::ranges::copy(values, x.data<double>());
  group.all_reduce(x, op);
  group.stream().synchronize();
  const auto reduced = x.span<double>();
  return {reduced.begin(), reduced.end()};
}

// See the head of scaling_sample.h.
void add_times(ScalingSample& sample, const MeasuredSteps& measured, Communicator& group) {
  const auto steps = static_cast<double>(measured.begin.size() - 1);
  const double total = seconds_between(measured.begin.front(), measured.begin.back());
  sample.step_seconds = group.all_reduce_value(total, Reduce::max) / steps;
  const double exposed = group.all_reduce_value(measured.waited_seconds, Reduce::min);
  sample.exposed_seconds = exposed / steps;
  const double compute = total - measured.waited_seconds - measured.input_seconds;
  const std::vector<double> sums = over_ranks(
      group, {total, compute, exposed, measured.input_seconds, measured.waited_seconds - exposed},
      Reduce::sum);
  sample.shares = {sums[1] / sums[0], sums[2] / sums[0], sums[3] / sums[0], sums[4] / sums[0]};
}

// The calls of a step, without times.
std::vector<StepCall> calls_of(const std::vector<CallTiming>& log, std::int64_t steps,
                               Communicator& group) {
  std::vector<StepCall> calls;
  for (const CallTiming& call : log) {
    if (call.operation == "barrier") continue;  // around the steps
    calls.push_back({call.operation, call.algorithm, static_cast<double>(call.bytes), 0, 0});
  }
  const std::size_t count = calls.size() / static_cast<std::size_t>(steps);
  SR_CHECK(calls.size() == count * static_cast<std::size_t>(steps), ErrorKind::peers,
           "{} steps made {} calls: steps of this model differ, and cannot be compared call by "
           "call",
           steps, calls.size());
  std::vector<double> bytes(count);
  for (std::size_t i = 0; i < calls.size(); ++i) bytes[i % count] += calls[i].bytes;
  bytes = over_ranks(group, bytes, Reduce::sum);
  calls.resize(count);
  for (std::size_t i = 0; i < count; ++i)
    calls[i].bytes = bytes[i] / static_cast<double>(steps * group.size());
  return calls;
}

void make_call(Communicator& group, const std::string& operation, Tensor& x, Tensor& y) {
  if (operation == "reduce_scatter") {
    group.reduce_scatter(x, Reduce::sum);
  } else if (operation == "all_gather") {
    group.all_gather(x);
  } else if (operation == "all_reduce") {
    group.all_reduce(x, Reduce::sum);
  } else if (operation == "broadcast") {
    group.broadcast(x, 0);
  } else {
    std::vector<std::int64_t> counts;
    for (int r = 0; r < group.size(); ++r) {
      const auto piece = Communicator::piece_range(x.numel(), r, group.size());
      counts.push_back(piece.end - piece.begin);
    }
    if (operation == "all_to_all_counted") {
      group.all_to_all_counted(x, counts);
      return;
    }
    // What r sends to this rank is as long as what this rank sends to itself.
    const std::vector<std::int64_t> mine(group.size(), counts[group.rank()]);
    Tensor received = y.flat_range(0, group.size() * counts[group.rank()]);
    group.all_to_all_v(received, mine, x, counts);
  }
}

// As nccl-tests does it: inside a step a call would also wait for slower ranks. Who comes late to
// one call waits for none there and longer in the next: the mean over ranks is what each call
// takes.
double seconds_alone(Communicator& group, const StepCall& call) {
  constexpr int kCalls = 11;
  Arena arena;
  const auto elements = static_cast<std::int64_t>(call.bytes / 4);
  Tensor x(arena, DType::f32, {elements}, Tag::workspace);
  Tensor y(arena, DType::f32, {elements + group.size()}, Tag::workspace);
  std::ranges::fill(x.span<float>(), 0.0f);
  group.barrier();
  std::vector<CallTiming> log;
  group.set_log(&log);
  for (int i = 0; i < kCalls; ++i) make_call(group, call.operation, x, y);
  group.set_log(nullptr);
  group.stream().synchronize();
  std::vector<double> seconds;
  for (const CallTiming& timing : log) seconds.push_back(seconds_between(timing.begin, timing.end));
  return median(over_ranks(group, seconds, Reduce::sum)) / group.size();
}

// A size that comes again takes as long again.
void time_calls(std::vector<StepCall>& calls, Communicator& group) {
  std::map<std::pair<std::string, double>, double> known;
  for (StepCall& call : calls) {
    const auto [at, added] = known.try_emplace({call.operation, call.bytes}, 0.0);
    if (added) at->second = seconds_alone(group, call);
    call.seconds = at->second;
    call.bus_bytes_per_s = bus_bytes(call.operation, call.bytes, group.size()) / call.seconds;
  }
}

// Worlds of one: what a step asks and costs without others.
void add_trace(ScalingSample& sample, const TraceRecorder& recorder, const MeasuredSteps& measured,
               int ranks) {
  sample.trace = recorder.trace(measured.begin, ranks);
  const double slowest = sample.step_seconds / recorder.trace(measured.begin, 1).seconds;
  sample.trace.seconds *= slowest;
  for (TraceEntry& entry : sample.trace.entries) entry.at *= slowest;
}

}  // namespace

const char* load_name(Load load) {
  static constexpr const char* kNames[] = {"one", "weak", "strong", "apart"};
  return kNames[static_cast<int>(load)];
}

ScalingSample take_sample(const SampleInput& input, Communicator& group) {
  forget_peak_memory();
  Context ctx(Device::cpu, input.threads);
  Profile profile;
  TraceRecorder recorder(profile);
  Communicator& world = alone(input.load) ? recorder.comm() : group;
  BenchRunner runner(ctx, world, input.dataset, input.options);
  runner.warm_up(input.warmup);
  std::vector<CallTiming> log;
  if (alone(input.load)) {
    ctx.set_profile(&profile);
  } else {
    group.set_log(&log);
  }
  const MeasuredSteps measured = runner.measure(input.steps, group);
  group.set_log(nullptr);

  ScalingSample sample;
  sample.peak_bytes = group.all_reduce_value(peak_memory_bytes(), Reduce::max);
  add_times(sample, measured, group);
  sample.events_per_s = group.all_reduce_value(measured.own_events, Reduce::sum) / measured.seconds;
  sample.events_per_step = measured.own_events / static_cast<double>(input.steps);
  sample.parameters = runner.parts().parameters.numel();
  sample.precision_note = runner.parts().precision_note;
  if (!alone(input.load)) {
    if (input.options.flag("train.overlap")) return sample;
    sample.calls = calls_of(log, input.steps, group);
    time_calls(sample.calls, group);
  } else {
    sample.flops_per_event = profile.flops / measured.own_events;
    add_trace(sample, recorder, measured, group.size());
  }
  return sample;
}

}  // namespace seqrank
