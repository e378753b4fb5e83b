// Which counts of ranks are measured, and what a small real run on threads comes to: relations that
// hold on any machine at any speed. No times.
#include "trainer/bench_scaling.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collective/thread.h"
#include "data/synth.h"
#include "models/model.h"
#include "tests/support/scratch.h"
#include "trainer/train.h"

namespace seqrank {
namespace {

using Counts = std::vector<std::pair<int, int>>;  // ranks, hosts

Counts counts_of(const std::vector<int>& ranks_of_host) {
  Counts counts;
  for (const RankCount& count : rank_counts(ranks_of_host))
    counts.push_back({count.ranks, count.hosts});
  return counts;
}

TEST(RankCounts, ArePowersOfTwoOnAHostAndThenWholeHosts) {
  EXPECT_EQ(counts_of({1}), (Counts{{1, 1}}));
  EXPECT_EQ(counts_of({2}), (Counts{{1, 1}, {2, 1}}));
  EXPECT_EQ(counts_of({6}), (Counts{{1, 1}, {2, 1}, {4, 1}, {6, 1}}));
  EXPECT_EQ(counts_of({1, 1}), (Counts{{1, 1}, {2, 2}}));
  EXPECT_EQ(counts_of({2, 2, 2, 2, 2}), (Counts{{1, 1}, {2, 1}, {4, 2}, {8, 4}, {10, 5}}));
  EXPECT_EQ(counts_of({3, 1}), (Counts{{1, 1}, {2, 1}, {3, 1}, {4, 2}}));
}

TEST(SpreadOf, IsMedianAndRange) {
  const Spread spread = spread_of({3, 1, 2, 10});
  EXPECT_DOUBLE_EQ(spread.median, 2.5);
  EXPECT_DOUBLE_EQ(spread.least, 1);
  EXPECT_DOUBLE_EQ(spread.most, 10);
}

class BenchScaling : public testing::Test {
 protected:
  BenchScaling() {
    SynthOptions synth_options;
    synth_options.output = scratch_.file("data.h5");
    synth_options.items = 40;
    synth_options.sequences = 60;
    synth_options.length = 12;
    synth_options.clusters = 4;
    synth(synth_options);
  }

  ScalingBench run(const std::vector<int>& node_of, const std::string& load) {
    Options options(train_options());
    options.declare({{"model.name", OptionKind::text, "attention_rnn", "model"}});
    options.declare(model_options("attention_rnn"));
    options.declare(bench_scaling_options());
    for (const auto& [key, value] : std::map<std::string, std::string>{{"train.batch", "4"},
                                                                       {"bench.load", load},
                                                                       {"bench.steps", "3"},
                                                                       {"bench.repeats", "2"},
                                                                       {"bench.warmup", "1"}})
      options.set(key, value, "test");
    ScalingBench bench;
    with_ranks(static_cast<int>(node_of.size()), [&](Communicator& comm) {
      const Dataset dataset = Dataset::open(scratch_.file("data.h5"));
      ScalingBench own = bench_scaling(comm, node_of, 1, dataset, options, {8, 4});
      if (comm.rank() == 0) bench = std::move(own);
    });
    return bench;
  }

  test::Scratch scratch_;
};

std::vector<std::string> names(const std::vector<StepCall>& calls) {
  std::vector<std::string> names;
  for (const StepCall& call : calls) names.push_back(call.operation);
  return names;
}

std::vector<std::string> names(const StepTrace& trace) {
  std::vector<std::string> names;
  for (const TraceEntry& entry : trace.entries)
    if (!entry.operation.empty()) names.push_back(entry.operation);
  return names;
}

void check_point(const ScalingPoint& point) {
  EXPECT_EQ(point.events_per_s.size(), 2u);
  EXPECT_EQ(point.efficiencies.size(), 2u);
  EXPECT_EQ(point.step_seconds.size(), 2u);
  for (const double events : point.events_per_s) EXPECT_GT(events, 0);
  const StepParts& s = point.shares;
  EXPECT_NEAR(s.compute + s.exposed + s.input + s.idle, 1, 1e-9);
  for (const double share : {s.compute, s.exposed, s.input, s.idle}) {
    EXPECT_GE(share, -1e-9);
    EXPECT_LE(share, 1);
  }
  EXPECT_GT(point.peak_bytes, 1 << 20);
}

TEST_F(BenchScaling, MeasuresEveryLoadOnTwoHostsOfTwoRanks) {
  const ScalingBench bench = run({0, 1, 0, 1}, "both");
  ASSERT_EQ(bench.widths.size(), 2u);
  EXPECT_EQ(bench.items, 40);
  for (const ScalingAtWidth& at : bench.widths) {
    // One; weak and strong, overlapped and in turn, on 2 ranks and on both hosts; apart.
    ASSERT_EQ(at.points.size(), 10u);
    for (const ScalingPoint& point : at.points) {
      check_point(point);
      EXPECT_EQ(point.hosts, point.ranks == 4 ? 2 : 1);
      const bool exchanges = point.load == Load::weak || point.load == Load::strong;
      EXPECT_EQ(point.hidden_shares.size(), exchanges && point.overlap ? 2u : 0u);
      EXPECT_EQ(point.calls.empty(), !exchanges || point.overlap);
      for (const StepCall& call : point.calls) {
        EXPECT_GT(call.seconds, 0) << call.operation;
        EXPECT_EQ(call.algorithm, "shared memory");
      }
    }
    EXPECT_EQ(at.points[0].load, Load::one);
    for (const double efficiency : at.points[0].efficiencies) EXPECT_DOUBLE_EQ(efficiency, 1);
    EXPECT_GT(at.flops_per_event, 0);
    EXPECT_DOUBLE_EQ(at.events_per_rank, 4 * 9.0);  // 12 events: 9 inputs to train on
    // A world of one asks the network for what a rank of four does, in the same order.
    const auto weak = std::ranges::find_if(at.points, [](const ScalingPoint& point) {
      return point.ranks == 4 && point.load == Load::weak && !point.overlap;
    });
    EXPECT_EQ(names(at.trace), names(weak->calls));
  }
  EXPECT_EQ(bench.widths[0].width, 8);
  EXPECT_GT(bench.widths[0].parameters, bench.widths[1].parameters);
}

TEST_F(BenchScaling, OnOneRankMeasuresThatOne) {
  const ScalingBench bench = run({0}, "weak");
  ASSERT_EQ(bench.widths.size(), 2u);
  ASSERT_EQ(bench.widths[0].points.size(), 1u);
  check_point(bench.widths[0].points[0]);
}

}  // namespace
}  // namespace seqrank
