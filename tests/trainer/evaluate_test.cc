// Protocols on ranks done by hand, at any number of ranks to the bit.
#include "trainer/evaluate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "collective/thread.h"
#include "data/dataset_writer.h"
#include "tests/support/scratch.h"
#include "tests/trainer/ordered_model.h"

namespace seqrank {
namespace {

using testing::ElementsAre;

// The logit is the label of the event before, then how many events there are before the target.
class SayingModel final : public Model, public ClickModel {
 public:
  BatchNeeds needs() const override {
    BatchNeeds needs;
    needs.labels = true;
    return needs;
  }
  void score_next(Context&, const Batch&, Tensor&) override { FAIL(); }
  void score_targets(Context&, const Batch& batch, Tensor& logit_N) override {
    const auto offset_B1 = batch.offset_B1.span<std::int32_t>();
    for (std::int64_t b = 0; b < batch.sequences; ++b)
      for (std::int32_t n = offset_B1[b]; n < offset_B1[b + 1]; ++n)
        logit_N.span<float>()[n] =
            100 * batch.label_N.span<float>()[n] + static_cast<float>(n - offset_B1[b]) + 1;
  }
};

class Evaluate : public testing::Test {
 protected:
  Evaluate() {
    DatasetWriter writer(path_);
    const std::vector<std::vector<std::int32_t>> sequences = {
        {20, 21, 3, 0}, {0, 1, 5}, {2, 2}, {1, 2, 3, 12}, {4, 4, 4, 4}};
    for (const auto& items : sequences) writer.add_sequence(items, {});
    writer.finish(25);
  }
  Evaluation run(Split split, Seen seen, int ranks = 1, const ProtocolOptions& protocol = {}) {
    const Dataset dataset = Dataset::open(path_);
    Evaluation result;
    with_ranks(ranks, [&](Communicator& comm) {
      Context ctx(Device::cpu, 1);
      OrderedModel model;
      Evaluation own = evaluate(ctx, comm, model, Protocol(dataset, protocol), {split, seen, 200});
      if (comm.rank() == ranks - 1) result = own;
    });
    return result;
  }

  test::Scratch temp_;
  std::string path_ = temp_.path() + "/data.h5";
};

// What a counting model is told.
class ToldModel final : public CountingModel {
 public:
  explicit ToldModel(bool times) : times_(times) {}
  BatchNeeds needs() const override {
    BatchNeeds needs;
    needs.times = times_;
    return needs;
  }
  void observe(const CountedEvents& events) override {
    windows.emplace_back(events.item_E.begin(), events.item_E.end());
    known.push_back(events.known);
    EXPECT_EQ(events.time_E.size(), times_ ? events.item_E.size() : 0);
  }
  void score_next(Context&, const Batch&, Tensor&) override { FAIL(); }
  std::vector<std::vector<std::int32_t>> windows;
  std::vector<std::size_t> known;

 private:
  bool times_;
};

// Training has two events less of sequences of three or more.
TEST_F(Evaluate, CountingModelsAreToldOfEveryTrainingEvent) {
  DatasetWriter writer(path_);
  const std::vector<std::vector<std::int32_t>> sequences = {
      {0, 1, 2, 3, 4, 5, 6}, {7, 8, 9}, {10}, {11, 12, 13, 14, 15, 16}};
  for (const auto& items : sequences) writer.add_sequence(items, {});
  writer.finish(17);
  const Dataset dataset = Dataset::open(path_);
  ToldModel model(false);
  fit_counts(model, Protocol(dataset), 2);
  EXPECT_THAT(model.windows,
              ElementsAre(ElementsAre(0, 1, 2), ElementsAre(2, 3, 4), ElementsAre(7),
                          ElementsAre(10), ElementsAre(11, 12), ElementsAre(12, 13, 14)));
  EXPECT_THAT(model.known, ElementsAre(0, 1, 0, 0, 0, 1));
  ToldModel wants_times(true);
  EXPECT_THROW(fit_counts(wants_times, Protocol(dataset), 2), Error);
}

// Forecasts from counts done here: y_t = a + b y_{t-1} by the formula for one variable.
TEST_F(Evaluate, PopularityByTimeCountsTheNewestEventsToo) {
  constexpr int kItems = 5, kDays = 6;
  std::mt19937 random(3);
  std::vector<std::vector<double>> y_VT(kItems, std::vector<double>(kDays, 0));
  std::vector<double> total_V(kItems, 0);
  DatasetWriter writer(path_);
  for (int s = 0; s < 60; ++s) {
    std::vector<std::int32_t> items;
    std::vector<std::int64_t> times;
    for (int e = 0; e < s % 7 + 1; ++e) {
      items.push_back(static_cast<std::int32_t>(random() % kItems));
      times.push_back(static_cast<std::int64_t>(random() % (kDays * 86400)));
    }
    std::ranges::sort(times);
    writer.add_sequence(items, times);
    const std::size_t training = items.size() >= 3 ? items.size() - 2 : items.size();
    for (std::size_t e = 0; e < training; ++e) {
      ++y_VT[items[e]][times[e] / 86400];
      ++total_V[items[e]];
    }
  }
  writer.finish(kItems);
  double n = 0, x_sum = 0, y_sum = 0, xx = 0, xy = 0;
  for (const auto& y_T : y_VT)
    for (int t = 1; t < kDays; ++t) {
      const double x = y_T[t - 1], y = y_T[t];
      ++n, x_sum += x, y_sum += y, xx += x * x, xy += x * y;
    }
  const double b = (n * xy - x_sum * y_sum) / (n * xx - x_sum * x_sum);

  const Dataset dataset = Dataset::open(path_);
  Options options;
  options.declare(model_options("popularity_by_time"));
  options.set("model.days", "1", "test");
  ParameterStore store;
  const auto model = find_model("popularity_by_time").make({options, kItems, store});
  fit_counts(dynamic_cast<CountingModel&>(*model), Protocol(dataset), 2);
  Context ctx(Device::cpu, 1);
  for (int day = 1; day <= kDays; ++day) {
    Batch batch;
    batch.sequences = batch.events = 1;
    batch.time_N = ctx.empty(DType::i64, {1});
    batch.time_N.data<std::int64_t>()[0] = day * 86400 + 7;
    batch.last_B = ctx.empty(DType::i32, {1});
    batch.last_B.data<std::int32_t>()[0] = 0;
    Tensor score_BV = ctx.empty(DType::f32, {1, kItems});
    model->score_next(ctx, batch, score_BV);
    const auto key = [&](int v) { return std::pair(b * y_VT[v][day - 1], total_V[v]); };
    for (int v = 0; v < kItems; ++v)
      for (int w = 0; w < kItems; ++w)
        EXPECT_EQ(score_BV.data<float>()[v] < score_BV.data<float>()[w], key(v) < key(w))
            << "day " << day << ", " << v << " and " << w;
  }
}

TEST_F(Evaluate, RanksTheTargetAmongWhatIsNotMasked) {
  EXPECT_THAT(run(Split::test, Seen::kept).rank_Q, ElementsAre(1, 6, 13, 5));
  EXPECT_THAT(run(Split::test, Seen::masked).rank_Q, ElementsAre(1, 4, 10, 5));
  EXPECT_THAT(run(Split::validation, Seen::kept).rank_Q, ElementsAre(4, 2, 4, 5));
  EXPECT_THAT(run(Split::validation, Seen::masked).rank_Q, ElementsAre(4, 1, 2, 5));
}

TEST_F(Evaluate, MetricsAreThoseOfTheRanks) {
  const Evaluation result = run(Split::test, Seen::masked);  // ranks 1, 4, 10, 5
  EXPECT_EQ(result.protocol, "p1");
  EXPECT_EQ(result.split, "test");
  EXPECT_EQ(result.sequences, 4);
  EXPECT_EQ(result.ties, 0);
  EXPECT_EQ(result.selection, "ndcg@10");
  const double at_4 = 1 / std::log2(5.0), at_5 = 1 / std::log2(6.0), at_10 = 1 / std::log2(11.0);
  const std::map<std::string, double> expected = {
      {"hr@1", 0.25},
      {"hr@5", 0.75},
      {"hr@10", 1},
      {"hr@20", 1},
      {"ndcg@1", 0.25},
      {"ndcg@5", (1 + at_4 + at_5) / 4},
      {"ndcg@10", (1 + at_4 + at_5 + at_10) / 4},
      {"ndcg@20", (1 + at_4 + at_5 + at_10) / 4},
      {"mrr@1", 0.25},
      {"mrr@5", (1 + 0.25 + 0.2) / 4},
      {"mrr@10", (1 + 0.25 + 0.2 + 0.1) / 4},
      {"mrr@20", (1 + 0.25 + 0.2 + 0.1) / 4},
  };
  for (const auto& [name, value] : expected)
    EXPECT_DOUBLE_EQ(result.metrics.at(name), value) << name;
}

TEST_F(Evaluate, IsBitwiseTheSameOnAnyNumberOfRanks) {
  const Evaluation one = run(Split::test, Seen::masked);
  for (int ranks : {2, 3, 7}) {
    const Evaluation many = run(Split::test, Seen::masked, ranks);
    EXPECT_EQ(many.metrics, one.metrics) << ranks;
    EXPECT_EQ(many.rank_Q, one.rank_Q) << ranks;
    EXPECT_EQ(many.ranks, ranks);
  }
}

TEST_F(Evaluate, SessionAsksForEveryEventOfTheLastSequences) {
  DatasetWriter writer(path_);
  for (int s = 0; s < 18; ++s) writer.add_sequence(std::vector<std::int32_t>{0, 1}, {});
  writer.add_sequence(std::vector<std::int32_t>{2, 0, 4, 2}, {});
  writer.add_sequence(std::vector<std::int32_t>{6, 3}, {});
  writer.finish(25);
  const ProtocolOptions session{.kind = ProtocolKind::session};
  for (int ranks : {1, 2, 5}) {
    const Evaluation result = run(Split::test, Seen::kept, ranks, session);
    EXPECT_EQ(result.protocol, "session");
    EXPECT_THAT(result.rank_Q, ElementsAre(1, 5, 3, 4));
    EXPECT_THAT(result.sequence_Q, ElementsAre(18, 18, 18, 19));
    EXPECT_EQ(result.sequences, 2);
    EXPECT_DOUBLE_EQ(result.metrics.at("hr@1"), 0.25);
    EXPECT_DOUBLE_EQ(result.metrics.at("mrr@20"), (1 + 1. / 5 + 1. / 3 + 1. / 4) / 4);
  }
}

TEST_F(Evaluate, TemporalAsksForTheNextItemAndForAllThatFollow) {
  DatasetWriter writer(path_);
  writer.add_sequence(std::vector<std::int32_t>{5, 1, 2, 1, 7, 7},
                      std::vector<std::int64_t>{1, 2, 8, 9, 9, 9});
  writer.add_sequence(std::vector<std::int32_t>{3, 9}, std::vector<std::int64_t>{4, 8});
  writer.add_sequence(std::vector<std::int32_t>{3, 9}, std::vector<std::int64_t>{4, 6});
  writer.finish(25);
  const ProtocolOptions temporal{
      .kind = ProtocolKind::temporal, .validation_from = 5, .test_from = 8};
  for (int ranks : {1, 2, 5}) {
    // Items 5 and 1 are masked, 3 for the other: to be found are 2 and 7, and 9.
    const Evaluation masked = run(Split::test, Seen::masked, ranks, temporal);
    EXPECT_THAT(masked.rank_Q, ElementsAre(2, 9));
    EXPECT_DOUBLE_EQ(masked.metrics.at("recall@1"), 0);
    EXPECT_DOUBLE_EQ(masked.metrics.at("recall@5"), (1. / 2 + 0) / 2);
    EXPECT_DOUBLE_EQ(masked.metrics.at("recall@10"), 1);
    const Evaluation kept = run(Split::test, Seen::kept, ranks, temporal);
    EXPECT_THAT(kept.rank_Q, ElementsAre(3, 10));
    EXPECT_DOUBLE_EQ(kept.metrics.at("recall@5"), (2. / 3 + 0) / 2);
    EXPECT_DOUBLE_EQ(kept.metrics.at("hr@5"), 1. / 2);
  }
  EXPECT_THAT(run(Split::validation, Seen::masked, 1, temporal).rank_Q, ElementsAre(9));
}

TEST_F(Evaluate, CtrScoresTheLastTenthOfEachSequence) {
  DatasetWriter writer(path_);
  for (int s = 0; s < 9; ++s) {
    std::vector<std::int32_t> items(20 + s, s);
    std::vector<std::uint8_t> labels(items.size());
    for (std::size_t i = 0; i < items.size(); ++i) labels[i] = (i * i + s) % 3 == 0;
    writer.add_sequence(items, {});
    writer.append("/event/label", labels);
  }
  writer.finish(9);
  const Dataset dataset = Dataset::open(path_);
  const Protocol protocol(dataset, {.kind = ProtocolKind::ctr});
  for (int ranks : {1, 2, 4, 20}) {
    with_ranks(ranks, [&](Communicator& comm) {
      Context ctx(Device::cpu, 1);
      SayingModel model;
      const Evaluation result = evaluate(ctx, comm, model, protocol, {Split::test, {}, 6});
      EXPECT_EQ(result.selection, "auc");
      EXPECT_EQ(result.sequences, 9);
      ASSERT_EQ(result.logit_Q.size(), 18u);
      EXPECT_TRUE(result.rank_Q.empty());
      for (std::size_t q = 0; q < 18; ++q) {
        const std::int64_t s = result.sequence_Q[q];
        EXPECT_EQ(s, static_cast<std::int64_t>(q / 2));
        const std::int64_t target = 18 + s + static_cast<std::int64_t>(q % 2);
        EXPECT_EQ(result.label_Q[q], (target * target + s) % 3 == 0);
        const bool before = ((target - 1) * (target - 1) + s) % 3 == 0;
        EXPECT_EQ(result.logit_Q[q], 100 * before + 5 + static_cast<float>(q % 2));
      }
      EXPECT_EQ(result.metrics, click_metrics(result.logit_Q, result.label_Q, result.sequence_Q));
      OrderedModel ranking;
      EXPECT_THROW(evaluate(ctx, comm, ranking, protocol, {Split::test, {}, 6}), Error);
    });
  }
}

}  // namespace
}  // namespace seqrank
