// What is recommended to whom, from a model whose ranking is known.
#include "trainer/recommend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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
  std::vector<Recommendation> run(const std::vector<std::string>& users, std::int64_t k,
                                  Seen seen) {
    const Dataset dataset = Dataset::open(path_);
    Context ctx(Device::cpu, 1);
    OrderedModel model;
    return recommend(ctx, model, dataset, users, k, {Split::test, seen, 200});
  }
  static std::vector<std::int64_t> items(const Recommendation& one) {
    std::vector<std::int64_t> ids;
    for (const RecommendedItem& item : one.items) ids.push_back(item.item);
    return ids;
  }

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
