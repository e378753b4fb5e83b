// Counting models on counts small enough to do by hand.
#include <gtest/gtest.h>

#include <cmath>

#include "models/dense_rank.h"
#include "models/model.h"
#include "tests/support/packed_batch.h"

namespace seqrank {
namespace {

std::vector<float> scores(Context& ctx, const std::string& name,
                          const std::vector<std::vector<int>>& training,
                          const std::vector<int>& history,
                          const std::map<std::string, std::string>& settings = {}) {
  Options options;
  options.declare(model_options(name));
  for (const auto& [key, value] : settings) options.set(key, value, "test");
  ParameterStore store;
  auto model = find_model(name).make({options, 5, store});
  for (const std::vector<int>& events : training)
    dynamic_cast<CountingModel&>(*model).observe({events});
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
TEST(ItemKnn, SumsDampedCosinesOfTheLastItemsAndRanksTheRestByPopularity) {
  Context ctx(Device::cpu, 1);
  const std::vector<std::vector<int>> windows = {{0, 1, 0}, {0, 1, 2}, {3, 2}, {4, 4}, {4, 3}};
  const auto cosine = [](double together, double a, double b) {
    return together / std::sqrt((a + 20) * (b + 20));
  };
  const auto last = scores(ctx, "item_knn", windows, {3, 0});
  EXPECT_FLOAT_EQ(last[1], static_cast<float>(cosine(2, 2, 2)));
  EXPECT_FLOAT_EQ(last[2], static_cast<float>(cosine(1, 2, 2)));
  EXPECT_LT(last[3], 0);  // never with 0
  EXPECT_LT(last[4], 0);
  EXPECT_EQ(last[3], last[4]);  // two windows each
  const auto all = scores(ctx, "item_knn", windows, {3, 0}, {{"model.last", "0"}});
  EXPECT_FLOAT_EQ(all[2], static_cast<float>(cosine(1, 2, 2) + cosine(1, 2, 2)));
  EXPECT_FLOAT_EQ(all[4], static_cast<float>(cosine(1, 2, 2)));
  const auto one = scores(ctx, "item_knn", windows, {0}, {{"model.neighbours", "1"}});
  EXPECT_GT(one[1], 0);
  EXPECT_LT(one[2], 0);
}

// Items 0 and 1 follow y_t = y_{t-1} / 2 exactly: 8, 4, 2, 1 events a day. Item 2 has as many
// events as item 1, and more than it a day later.
TEST(PopularityByTime, ForecastsTheDayOfTheLastEvent) {
  Context ctx(Device::cpu, 1);
  Options options;
  options.declare(model_options("popularity_by_time"));
  options.set("model.days", "1", "test");
  ParameterStore store;
  auto model = find_model("popularity_by_time").make({options, 4, store});
  std::vector<int> items;
  std::vector<std::int64_t> times;
  const auto add = [&](int item, std::int64_t day, int count) {
    for (int i = 0; i < count; ++i) {
      items.push_back(item);
      times.push_back(day * 86400 + i);
    }
  };
  for (int day = 0; day < 4; ++day) add(0, day, 8 >> day);
  for (int day = 1; day < 4; ++day) add(1, day, 16 >> day);
  add(2, 4, 6);
  const auto batch_of = [&](std::vector<int> sequence, const std::vector<std::int64_t>& time_N) {
    sequence.push_back(0);  // a target
    Batch batch = packed_batch(ctx, {sequence});
    batch.time_N = ctx.empty(DType::i64, {batch.events});
    std::copy(time_N.begin(), time_N.end(), batch.time_N.data<std::int64_t>());
    return batch;
  };
  dynamic_cast<CountingModel&>(*model).observe({items, times});
  const auto ranked_on = [&](std::int64_t day) {
    Tensor score_BV = ctx.empty(DType::f32, {1, 4});
    model->score_next(ctx, batch_of({3}, {day * 86400}), score_BV);
    const auto span = score_BV.span<float>();
    return std::vector<float>(span.begin(), span.end());
  };
  EXPECT_EQ(ranked_on(2), (std::vector<float>{2, 3, 1, 0}));  // 4 and 8 the day before
  EXPECT_EQ(ranked_on(5), (std::vector<float>{2, 1, 3, 0}));  // 6 of item 2; then by events
  EXPECT_EQ(ranked_on(900), ranked_on(5));                    // nothing is known of later days
}

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
