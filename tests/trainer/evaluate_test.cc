// Protocols on ranks done by hand, at any number of ranks to the bit.
#include "trainer/evaluate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

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
