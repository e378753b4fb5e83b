// The model on hand-made cases: shapes of calls, fits that must find what made the points, steps
// small enough to be played by hand, and clusters of known figures.
#include "trainer/scaling_model.h"

#include <gtest/gtest.h>

#include "backend/check.h"
#include "trainer/scaling_forecast.h"

namespace seqrank {
namespace {

constexpr double kMegabyte = 1e6;
const Link kGigabit = {1e9, 1e-3};
const Link kTwoGigabit = {2e9, 1e-3};
const Link kHalfGigabit = {0.5e9, 1e-3};

TraceEntry call(double at, int number, std::int64_t bytes = 8) {
  return {at, "all_gather", number, bytes};
}

TraceEntry wait_for(double at, int number) {
  return {at, "", number, 0};
}

// Every call takes `seconds`.
PlayedStep play_with(const StepTrace& trace, double seconds, double compute_speed = 1) {
  return play(trace, [=](const TraceEntry&) { return CallCost{seconds, compute_speed}; });
}

TEST(CallShape, FollowsTheAlgorithms) {
  const CallShape scatter = call_shape("reduce_scatter", 4 * kMegabyte, 4);
  EXPECT_EQ(scatter.messages, 3);
  EXPECT_DOUBLE_EQ(scatter.moved_bytes, 3 * kMegabyte);
  const CallShape summary = call_shape("all_reduce", 24, 8);
  EXPECT_EQ(summary.messages, 1);
  EXPECT_DOUBLE_EQ(summary.moved_bytes, 7 * 24);
  const CallShape sum = call_shape("all_reduce", 4 * kMegabyte, 4);
  EXPECT_EQ(sum.messages, 6);
  EXPECT_DOUBLE_EQ(sum.moved_bytes, 6 * kMegabyte);
  const CallShape rows = call_shape("all_to_all_v", 4 * kMegabyte, 4);
  EXPECT_EQ(rows.messages, 1);
  EXPECT_DOUBLE_EQ(rows.moved_bytes, 3 * kMegabyte);
  const CallShape ids = call_shape("all_to_all_counted", 4 * kMegabyte, 4);
  EXPECT_EQ(ids.messages, 2);
  EXPECT_DOUBLE_EQ(ids.moved_bytes, 3 * kMegabyte);
  EXPECT_EQ(call_shape("all_reduce", 24, 1).messages, 0);
}

TEST(BusBytes, AreThoseOfNcclTests) {
  EXPECT_DOUBLE_EQ(bus_bytes("all_reduce", 8, 4), 12);
  EXPECT_DOUBLE_EQ(bus_bytes("reduce_scatter", 8, 4), 6);
  EXPECT_DOUBLE_EQ(bus_bytes("all_gather", 8, 2), 4);
  EXPECT_DOUBLE_EQ(bus_bytes("broadcast", 8, 4), 8);
}

std::vector<MeasuredCall> calls_of(const NetworkModel& model, const std::vector<Link>& links) {
  std::vector<MeasuredCall> calls;
  for (const Link& link : links) {
    for (const double bytes : {24.0, 5e5, 2e6, 3e6}) {
      const char* operation = bytes < 100 ? "all_reduce" : "reduce_scatter";
      calls.push_back({link, 2, operation, bytes, call_seconds(model, link, operation, bytes, 2)});
    }
  }
  return calls;
}

TEST(FitNetwork, FindsWhatMadeTheCallsAndPredictsOthers) {
  NetworkModel made;
  made.message_seconds = 120e-6;
  made.link_share = 0.93;
  made.byte_seconds = 0.4e-9;
  const NetworkModel fitted = fit_network(calls_of(made, {kGigabit, kTwoGigabit}));
  EXPECT_NEAR(fitted.message_seconds, made.message_seconds, 1e-7);
  EXPECT_NEAR(fitted.link_share, made.link_share, 1e-4);
  EXPECT_NEAR(fitted.byte_seconds, made.byte_seconds, 1e-12);
  const double told = call_seconds(made, kHalfGigabit, "all_gather", 8e6, 2);
  EXPECT_NEAR(call_seconds(fitted, kHalfGigabit, "all_gather", 8e6, 2), told, 1e-4 * told);
}

// One rate cannot tell time on the wire from time in the host.
TEST(FitNetwork, OfOneRateCountsAllTimeOfBytesAsTheWires) {
  NetworkModel made;
  made.link_share = 0.5;
  made.byte_seconds = 8e-9;
  const NetworkModel fitted = fit_network(calls_of(made, {kGigabit}));
  EXPECT_EQ(fitted.byte_seconds, 0);
  EXPECT_NEAR(fitted.link_share, 1 / 3.0, 1e-5);
}

TEST(FitNetwork, WithoutKnownRateCountsAllTimeOfBytesAsTheHosts) {
  NetworkModel made;
  made.message_seconds = 5e-6;
  made.byte_seconds = 0.2e-9;
  const NetworkModel fitted = fit_network(calls_of(made, {Link{}}));
  EXPECT_NEAR(fitted.byte_seconds, made.byte_seconds, 1e-14);
  EXPECT_NEAR(fitted.message_seconds, made.message_seconds, 1e-9);
}

TEST(FitNetwork, GivesNoPartLessThanNothing) {
  std::vector<MeasuredCall> calls = calls_of(NetworkModel(), {kGigabit, kTwoGigabit});
  for (MeasuredCall& call : calls) call.seconds -= 0.5e-3;  // faster than the delays allow
  const NetworkModel fitted = fit_network(calls);
  EXPECT_EQ(fitted.message_seconds, 0);
  EXPECT_GE(fitted.byte_seconds, 0);
  EXPECT_THROW(fit_network({}), Error);
}

TEST(Play, StandsStillUntilACallIsOver) {
  const PlayedStep step = play_with({3, {call(1, 0), wait_for(2, 0)}}, 3);
  EXPECT_DOUBLE_EQ(step.exposed_seconds, 2);  // the call ends at 4
  EXPECT_DOUBLE_EQ(step.seconds, 5);
}

TEST(Play, HidesACallThatIsOverInTime) {
  const PlayedStep step = play_with({3, {call(0.5, 0), wait_for(2, 0)}}, 1);
  EXPECT_DOUBLE_EQ(step.exposed_seconds, 0);
  EXPECT_DOUBLE_EQ(step.seconds, 3);
}

TEST(Play, RunsCallsOneAfterAnother) {
  const PlayedStep step = play_with({4, {call(1, 0), call(1.5, 1), wait_for(4, 1)}}, 2);
  EXPECT_DOUBLE_EQ(step.exposed_seconds, 1);  // the first ends at 3, the second at 5
  EXPECT_DOUBLE_EQ(step.seconds, 5);
}

TEST(Play, LetsACallRunIntoTheNextStep) {
  // Made at the end of a step, needed a second into the next.
  const StepTrace trace = {3, {wait_for(1, -1), call(3, 0)}};
  const PlayedStep step = play_with(trace, 1.5);
  EXPECT_DOUBLE_EQ(step.exposed_seconds, 0.5);
  EXPECT_DOUBLE_EQ(step.seconds, 3.5);
}

TEST(Play, SlowsComputeDownWhileACallRuns) {
  // From 1 to 3 compute does 1 second's work at half its speed; what is left is 1.
  const PlayedStep step = play_with({3, {call(1, 0), wait_for(3, 0)}}, 2, 0.5);
  EXPECT_DOUBLE_EQ(step.exposed_seconds, 0);
  EXPECT_DOUBLE_EQ(step.seconds, 4);
  // Compute that comes to a stop waits with the call.
  EXPECT_DOUBLE_EQ(play_with({3, {call(1, 0), wait_for(3, 0)}}, 2, 0).seconds, 5);
}

TEST(Play, InTurnAddsUp) {
  NetworkModel model;
  const StepTrace trace = {0.1, {call(0.05, 0, 2'000'000), wait_for(0.05, 0), call(0.1, 1, 24)}};
  const double calls = call_seconds(model, kGigabit, "all_gather", 2e6, 2) +
                       call_seconds(model, kGigabit, "all_gather", 24, 2);
  EXPECT_NEAR(calls, (1e-3 + 8e-3) + (1e-3 + 96e-9), 1e-12);
  const PlayedStep step = play_in_turn(trace, model, kGigabit, 2);
  EXPECT_DOUBLE_EQ(step.exposed_seconds, calls);
  EXPECT_DOUBLE_EQ(step.seconds, 0.1 + calls);
}

TEST(FitComputeSpeed, FindsWhatMadeTheSteps) {
  NetworkModel made;
  made.compute_speed = 0.7;
  std::vector<MeasuredStep> steps;
  for (const Link& link : {kGigabit, kTwoGigabit}) {
    const StepTrace trace = {
        0.1, {call(0.02, 0, 4'000'000), call(0.05, 1, 3'000'000), wait_for(0.1, 1)}};
    steps.push_back({link, 2, trace, play_overlapped(trace, made, link, 2).seconds});
  }
  EXPECT_GT(steps[1].seconds, 0.1);
  NetworkModel fitted = made;
  fitted.compute_speed = 1;
  EXPECT_NEAR(fit_compute_speed(fitted, steps), 0.7, 1e-3);
}

// Round figures: one device does a step's compute in 1 s.
Cluster round_cluster() {
  Cluster cluster;
  cluster.flops_per_s = 1e12;
  cluster.flops_share = 0.5;
  cluster.events = 1000;
  cluster.devices = 8;
  cluster.inside = {100e9, 0.5, 1e-6};
  cluster.between = {10e9, 1, 10e-6};
  cluster.call_seconds = 5e-6;
  return cluster;
}

TEST(ClusterCall, GoesRoundTheNodeAndThenBetweenNodes) {
  const Cluster cluster = round_cluster();
  EXPECT_NEAR(cluster_call_seconds(cluster, "reduce_scatter", 8e9, 8), 5e-6 + 7e-6 + 7e9 / 50e9,
              1e-9);
  EXPECT_NEAR(cluster_call_seconds(cluster, "all_gather", 8e9, 32),
              5e-6 + 7e-6 + 7e9 / 50e9 + 3 * 10e-6 + 1e9 * 3 / 4 / 10e9, 1e-9);
  EXPECT_NEAR(cluster_call_seconds(cluster, "all_reduce", 24, 32), 5e-6 + 6e-6 + 4 * 10e-6, 1e-8);
  EXPECT_NEAR(cluster_call_seconds(cluster, "all_to_all_v", 32e9, 32),
              5e-6 + 1e-6 + 7e9 / 50e9 + 10e-6 + 24e9 / 10e9, 1e-9);
  EXPECT_NEAR(cluster_call_seconds(cluster, "all_to_all_counted", 32e9, 32),
              5e-6 + 2e-6 + 7e9 / 50e9 + 20e-6 + 24e9 / 10e9, 1e-9);
}

TEST(Forecast, StretchesTheRecordedStepToTheDevice) {
  ScalingAtWidth at;
  at.width = 100;
  at.flops_per_event = 5e8;
  at.events_per_rank = 10;
  at.trace = {0.2, {{0.1, "reduce_scatter", 0, 8'000'000'000}, wait_for(0.2, 0)}};
  const Forecast eight = forecast(round_cluster(), at, 1000, 8);
  EXPECT_NEAR(eight.compute_seconds, 1, 1e-12);
  EXPECT_NEAR(eight.communication_seconds, 0.14, 1e-4);
  EXPECT_NEAR(eight.exposed_seconds, 0, 1e-9);  // made at 0.5 s, over at 0.64 s
  EXPECT_NEAR(eight.efficiency, 1, 1e-9);
  EXPECT_NEAR(eight.events_per_s, 8000, 1e-6);
  const Forecast many = forecast(round_cluster(), at, 1000, 80'000);
  EXPECT_EQ(many.nodes, 10'000);
  EXPECT_NEAR(many.communication_seconds, 0.14 + 0.1 + 0.1, 1e-3);
  // Rows grow a hundredfold with the events, but not beyond the table.
  at.trace.entries[0] = {0.1, "all_to_all_v", 0, 10'000};
  const double rows = forecast(round_cluster(), at, 1000, 8).communication_seconds;
  EXPECT_NEAR(rows, 5e-6 + 1e-6 + 400'000 * 7 / 8 / 50e9, 1e-12);
}

}  // namespace
}  // namespace seqrank
