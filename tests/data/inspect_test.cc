// Counts of a small data set, worked out by hand.
#include "data/inspect.h"

#include <gtest/gtest.h>

#include "data/dataset_writer.h"
#include "tests/data/data_test_support.h"

namespace seqrank {
namespace {

using test::Scratch;

TEST(Inspect, CountsWhatIsThere) {
  Scratch scratch;
  {
    DatasetWriter writer(scratch.file("a.h5"));
    writer.add_sequence({}, {});
    writer.add_sequence(std::vector<std::int32_t>{0, 1, 0}, std::vector<std::int64_t>{60, 60, 90});
    writer.add_sequence({}, {});
    writer.add_sequence(std::vector<std::int32_t>{3, 0}, std::vector<std::int64_t>{90, 86400});
    for (const char* title : {"Heat", "Alien", "Brazil", "Dune"}) writer.add_item_title(title);
    writer.set_attribute("tie_rate", 0.125);
    writer.finish(4);
  }
  const DatasetSummary summary = summarise(Dataset::open(scratch.file("a.h5")));
  EXPECT_EQ(summary.sequences, 4);
  EXPECT_EQ(summary.items, 4);
  EXPECT_EQ(summary.items_used, 3);
  EXPECT_EQ(summary.events, 5);
  EXPECT_EQ(summary.with_targets, 1);
  EXPECT_EQ(summary.length_min, 0);
  EXPECT_EQ(summary.length_median, 1);
  EXPECT_EQ(summary.length_mean, 1.25);
  EXPECT_EQ(summary.length_max, 3);
  EXPECT_EQ(summary.times, std::pair(std::int64_t{60}, std::int64_t{86400}));
  EXPECT_DOUBLE_EQ(summary.tie_rate.value(), 1.0 / 3);
  EXPECT_DOUBLE_EQ(summary.head_share, 0.6);
  ASSERT_EQ(summary.popular.size(), 3u);
  EXPECT_EQ(summary.popular[0].title, "Heat");
  EXPECT_EQ(summary.popular[0].count, 3);
  EXPECT_EQ(summary.popular[2].item, 3);
  const std::string text = to_text(summary);
  for (const char* part : {"4 (1 with", "4 (3 occur)", "1970-01-02 00:00:00 UTC (86400)", "33.33 %",
                           "Alien", "tie_rate         0.125", "median 1,"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
  }
}

TEST(Inspect, CountsLabelsSplitsAndFeatures) {
  Scratch scratch;
  {
    DatasetWriter writer(scratch.file("a.h5"));
    writer.add_sequence(std::vector<std::int32_t>{0, 1, 0}, {});
    writer.add_sequence(std::vector<std::int32_t>{1}, {});
    writer.append("/event/label", std::vector<std::uint8_t>{1, 1, 0, 1});
    writer.append("/sequence/split", std::vector<std::uint8_t>{2, 0});
    writer.append("/event/action", std::vector<std::int32_t>{1, 1, 0, 1});
    for (const char* name : {"view", "buy"}) writer.append_text("/action/name", name);
    writer.append("/item/feature/year", std::vector<float>{-1, 1});
    writer.append("/item/feature/genre", std::vector<std::int32_t>{0, 2});
    for (const char* name : {"", "Drama", "Crime"})
      writer.append_text("/item/feature_values/genre", name);
    writer.set_attribute("last_targets_only", 1.0);
    writer.finish(2);
  }
  const DatasetSummary summary = summarise(Dataset::open(scratch.file("a.h5")));
  EXPECT_EQ(summary.positive, 0.75);
  EXPECT_EQ(summary.splits, (std::array<std::int64_t, 3>{1, 0, 1}));
  ASSERT_EQ(summary.features.size(), 3u);
  const std::string text = to_text(summary);
  for (const char* part :
       {"label 1          75.0 % of events",
        "1 training, 0 validation, 1 test sequences; only last events are targets",
        "event.action     2 values: buy 75.0 %, view 25.0 %",
        "item.genre       3 values: unknown 50.0 %, Crime 50.0 %", "item.year        numbers"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
  }
}

TEST(Inspect, AnEmptyDataSetIsDescribed) {
  Scratch scratch;
  DatasetWriter(scratch.file("a.h5")).finish(0);
  const std::string text = to_text(summarise(Dataset::open(scratch.file("a.h5"))));
  EXPECT_NE(text.find("0 (0 occur)"), std::string::npos) << text;
}

}  // namespace
}  // namespace seqrank
