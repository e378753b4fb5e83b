// Protocol p1 on ranks done by hand, at any number of ranks to the bit.
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

class Evaluate : public testing::Test {
 protected:
  Evaluate() {
    DatasetWriter writer(path_);
    const std::vector<std::vector<std::int32_t>> sequences = {
        {20, 21, 3, 0}, {0, 1, 5}, {2, 2}, {1, 2, 3, 12}, {4, 4, 4, 4}};
    for (const auto& items : sequences) writer.add_sequence(items, {});
    writer.finish(25);
  }
  Evaluation run(Split split, Seen seen, int ranks = 1) {
    const Dataset dataset = Dataset::open(path_);
    Evaluation result;
    with_ranks(ranks, [&](Communicator& comm) {
      Context ctx(Device::cpu, 1);
      OrderedModel model;
      Evaluation own = evaluate(ctx, comm, model, dataset, {split, seen, 200});
      if (comm.rank() == ranks - 1) result = own;
    });
    return result;
  }

  test::Scratch temp_;
  std::string path_ = temp_.path() + "/data.h5";
};

TEST_F(Evaluate, RanksTheTargetAmongWhatIsNotMasked) {
  EXPECT_THAT(run(Split::test, Seen::kept).rank_S, ElementsAre(1, 6, 0, 13, 5));
  EXPECT_THAT(run(Split::test, Seen::masked).rank_S, ElementsAre(1, 4, 0, 10, 5));
  EXPECT_THAT(run(Split::validation, Seen::kept).rank_S, ElementsAre(4, 2, 0, 4, 5));
  EXPECT_THAT(run(Split::validation, Seen::masked).rank_S, ElementsAre(4, 1, 0, 2, 5));
}

TEST_F(Evaluate, MetricsAreThoseOfTheRanks) {
  const Evaluation result = run(Split::test, Seen::masked);  // ranks 1, 4, 10, 5
  EXPECT_EQ(result.protocol, "p1");
  EXPECT_EQ(result.split, "test");
  EXPECT_EQ(result.sequences, 4);
  EXPECT_EQ(result.ties, 0);
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
  ASSERT_EQ(result.metrics.size(), expected.size());
  for (const auto& [name, value] : expected)
    EXPECT_DOUBLE_EQ(result.metrics.at(name), value) << name;
}

TEST_F(Evaluate, IsBitwiseTheSameOnAnyNumberOfRanks) {
  const Evaluation one = run(Split::test, Seen::masked);
  for (int ranks : {2, 3, 7}) {
    const Evaluation many = run(Split::test, Seen::masked, ranks);
    EXPECT_EQ(many.metrics, one.metrics) << ranks;
    EXPECT_EQ(many.rank_S, one.rank_S) << ranks;
    EXPECT_EQ(many.ranks, ranks);
  }
}

}  // namespace
}  // namespace seqrank
