// What is recommended to whom, from a model whose ranking is known.
#include "trainer/recommend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "backend/check.h"
#include "data/dataset_writer.h"
#include "tests/support/scratch.h"
#include "tests/trainer/ordered_model.h"

namespace seqrank {
namespace {

using testing::ElementsAre;

class Recommend : public testing::Test {
 protected:
  Recommend() {
    DatasetWriter writer(path_);
    writer.add_sequence(std::vector<std::int32_t>{0, 2, 2}, {});
    writer.add_sequence(std::vector<std::int32_t>{4, 3, 2, 1, 4, 3}, {});
    for (const char* user : {"ann", "bob"}) writer.add_user_key(user);
    for (int i = 0; i < 5; ++i) writer.add_item_key("k" + std::to_string(i));
    for (int i = 0; i < 5; ++i) writer.add_item_title("Title " + std::to_string(i));
    writer.finish(5);
  }
  std::vector<Recommendation> run(const std::vector<std::string>& users, std::int64_t k, Seen seen,
                                  RecommendOptions options = {}) {
    const Dataset dataset = Dataset::open(path_);
    OrderedModel model;
    options.k = k;
    options.seen = seen;
    return recommend(ctx_, model, dataset, people_of(dataset, users), options);
  }
  static std::vector<std::int64_t> items(const Recommendation& one) {
    std::vector<std::int64_t> ids;
    for (const RecommendedItem& item : one.items) ids.push_back(item.item);
    return ids;
  }

  Context ctx_{Device::cpu, 1};
  test::Scratch temp_;
  std::string path_ = temp_.path() + "/data.h5";
};

TEST_F(Recommend, TheBestUnseenItemsOfTheWholeHistoryInTheOrderAskedFor) {
  const auto result = run({"bob", "ann"}, 2, Seen::masked);
  ASSERT_EQ(result.size(), 2u);
  EXPECT_EQ(result[0].user, "bob");
  EXPECT_EQ(result[0].items[0].item, 0);
  EXPECT_EQ(result[1].user, "ann");
  EXPECT_THAT(items(result[1]), ElementsAre(1, 3));
  EXPECT_EQ(result[1].items[1].key, "k3");
  EXPECT_EQ(result[1].items[1].title, "Title 3");
  EXPECT_EQ(result[1].items[1].score, -3.0f);
}

TEST_F(Recommend, SeenItemsAreKeptOnDemandAndRecentTitlesEndWithTheNewest) {
  const auto result = run({"bob"}, 3, Seen::kept);
  EXPECT_THAT(items(result[0]), ElementsAre(0, 1, 2));
  EXPECT_THAT(result[0].recent, ElementsAre("Title 3", "Title 2", "Title 1", "Title 4", "Title 3"));
}

TEST_F(Recommend, FewerItemsThanAskedForWhereNoMoreAreUnseen) {
  EXPECT_THAT(items(run({"bob"}, 4, Seen::masked)[0]), ElementsAre(0));
}

TEST_F(Recommend, WhatIsPopularToSomebodyWithoutHistory) {
  DatasetWriter writer(path_);
  writer.add_sequence(std::vector<std::int32_t>{}, {});
  writer.add_sequence(std::vector<std::int32_t>{4, 3, 3, 1, 4, 2}, {});  // p1 trains on 4, 3, 3, 1
  for (const char* user : {"new", "bob"}) writer.add_user_key(user);
  writer.finish(5);
  const Dataset dataset = Dataset::open(path_);
  const ScenePopularity popularity{Protocol(dataset, {})};
  RecommendOptions options;
  options.popularity = [&]() -> const ScenePopularity& { return popularity; };
  const auto result = run({"new", "bob", "new"}, 2, Seen::kept, options);
  EXPECT_THAT(items(result[0]), ElementsAre(3, 1));
  EXPECT_EQ(result[0].items[0].score, 2.0f);
  EXPECT_THAT(result[0].recent, ElementsAre());
  EXPECT_THAT(items(result[1]), ElementsAre(0, 1));
  EXPECT_THAT(items(result[2]), ElementsAre(3, 1));
}

TEST_F(Recommend, CandidatesAlone) {
  RecommendOptions options;
  options.candidates = {{4, 2, 2}};
  EXPECT_THAT(items(run({"ann", "bob"}, 3, Seen::kept, options)[1]), ElementsAre(2, 4));
  EXPECT_THAT(items(run({"ann"}, 3, Seen::masked, options)[0]), ElementsAre(4));
}

// Items 0 and 1 are alike, as are 2 and 3; item 4 is like none. Scores are 0, -1, ..., -4, so that
// relevance is 1, 3/4, 1/2, 1/4, 0.
TEST_F(Recommend, DiversityLeavesOutWhatIsLikeWhatIsThere) {
  RecommendOptions options;
  options.vector_VD = ctx_.empty(DType::f32, {5, 3});
  const std::vector<float> vectors = {1, 0, 0, 2, 0, 0, 0, 1, 0, 0, 3, 0, 0, 0, 1};
  std::ranges::copy(vectors, options.vector_VD.data<float>());
  EXPECT_THAT(items(run({"bob"}, 3, Seen::kept, options)[0]), ElementsAre(0, 1, 2));
  options.diversity = 0.5;  // 1: 3/8 - 1/2, 2: 1/4, 4: 0; then 3: 1/8 - 1/2, 4: 0
  EXPECT_THAT(items(run({"bob"}, 3, Seen::kept, options)[0]), ElementsAre(0, 2, 4));
  options.diversity = 0.1;  // 1: 0.675 - 0.1 against 2: 0.45
  EXPECT_THAT(items(run({"bob"}, 3, Seen::kept, options)[0]), ElementsAre(0, 1, 2));
  options.vector_VD = {};
  EXPECT_THROW(run({"bob"}, 3, Seen::kept, options), Error);
}

TEST_F(Recommend, AnUnknownUserIsNamed) {
  try {
    run({"ann", "eve"}, 2, Seen::masked);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.exit_code(), 2);
    EXPECT_THAT(error.what(), testing::HasSubstr("eve"));
  }
}

}  // namespace
}  // namespace seqrank
