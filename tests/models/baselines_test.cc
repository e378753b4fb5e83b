// Counting models on counts small enough to do by hand.
#include <gtest/gtest.h>

#include "models/dense_rank.h"
#include "models/model.h"
#include "tests/support/packed_batch.h"

namespace seqrank {
namespace {

std::vector<float> scores(Context& ctx, const std::string& name,
                          const std::vector<std::vector<int>>& training,
                          const std::vector<int>& history) {
  Options options;
  ParameterStore store;
  auto model = find_model(name).make({options, 5, store});
  dynamic_cast<CountingModel&>(*model).observe(packed_batch(ctx, training));
  std::vector<int> with_target = history;
  with_target.push_back(0);  // packed_batch takes the last one as a target only
  const Batch batch = packed_batch(ctx, {with_target});
  Tensor score_BV = ctx.empty(DType::f32, {1, 5});
  model->score_next(ctx, batch, score_BV);
  const auto span = score_BV.span<float>();
  return {span.begin(), span.end()};
}

TEST(Popularity, RanksByCountsOfTargets) {
  Context ctx(Device::cpu, 1);
  EXPECT_EQ(scores(ctx, "popularity", {{0, 1, 2, 1}, {3, 1}}, {4}),
            (std::vector<float>{0, 2, 1, 0, 0}));
}

TEST(Markov, RanksSuccessorsFirstThenByPopularity) {
  Context ctx(Device::cpu, 1);
  const auto s = scores(ctx, "markov", {{0, 1, 2, 1, 2}, {3, 1, 4}, {0, 3}}, {4, 1});
  EXPECT_GT(s[2], s[4]);  // 1 -> 2 twice, 1 -> 4 once
  EXPECT_GT(s[4], s[1]);  // never after 1, but the most popular of the rest
  EXPECT_GT(s[1], s[3]);
  EXPECT_GT(s[3], s[0]);
}

// Counts whose order float would lose: 2^24 and one more, and a count beside a popularity share.
TEST(DenseRank, KeepsTheOrderOfLargeCountsAndEqualOnesEqual) {
  const std::int64_t large = std::int64_t{1} << 24;
  EXPECT_EQ(dense_rank(std::vector<std::int64_t>{large + 1, 0, large, large + 1, 7}),
            (std::vector<float>{3, 0, 2, 3, 1}));
}

TEST(Markov, EqualTransitionsAreOrderedByPopularityAndTiedWhereThatIsEqual) {
  Context ctx(Device::cpu, 1);
  // After 0: 1, 2, 3 once each. 2 once more elsewhere, 4 most often and never after 0.
  const auto s =
      scores(ctx, "markov", {{0, 1}, {0, 2}, {0, 3}, {4, 2}, {1, 4}, {1, 4}, {2, 4}, {3, 4}}, {0});
  EXPECT_GT(s[2], s[1]);
  EXPECT_EQ(s[1], s[3]);
  EXPECT_GT(s[1], s[4]);
  EXPECT_GT(s[4], s[0]);
}

TEST(Markov, BacksOffToPopularityAfterAnItemWithoutSuccessor) {
  Context ctx(Device::cpu, 1);
  const auto s = scores(ctx, "markov", {{0, 1, 2, 1, 2, 1}}, {4});
  EXPECT_GT(s[1], s[2]);
  EXPECT_GT(s[2], s[3]);
}

}  // namespace
}  // namespace seqrank
