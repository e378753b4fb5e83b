// Interests planted in sequences are found again, whatever the order of items and sequences.
#include "data/interests.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "tests/data/data_test_support.h"

namespace seqrank {
namespace {

TEST(Interests, PlantedOnesAreFound) {
  constexpr int kGroups = 5, kItems = 60;
  std::mt19937 random(3);
  std::vector<std::int64_t> offset = {0};
  std::vector<std::int32_t> items;
  for (int s = 0; s < 400; ++s) {
    const int group = static_cast<int>(random() % kGroups);
    for (int e = 0; e < 12; ++e) {  // one event in twelve is anything
      const int any = static_cast<int>(random() % kItems);
      items.push_back(e == 0 ? any : any / kGroups * kGroups + group);
    }
    offset.push_back(static_cast<std::int64_t>(items.size()));
  }
  const auto found = find_interests(offset, items, kItems, {kGroups, 8, 1});
  std::map<int, std::set<int>> groups;
  for (int v = 0; v < kItems; ++v) groups[v % kGroups].insert(found[v]);
  std::set<int> all;
  for (const auto& [planted, ids] : groups) {
    EXPECT_EQ(ids.size(), 1u) << planted;
    all.insert(ids.begin(), ids.end());
  }
  EXPECT_EQ(all.size(), 5u);
  EXPECT_EQ(found, find_interests(offset, items, kItems, {kGroups, 8, 1}));
}

TEST(Interests, MoreInterestsThanItemsAreRefused) {
  const std::vector<std::int64_t> offset = {0, 2};
  const std::vector<std::int32_t> items = {0, 1};
  EXPECT_EQ(find_interests(offset, items, 2, {2, 8, 1}).size(), 2u);
  SR_EXPECT_ERROR(find_interests(offset, items, 2, {3, 8, 1}), ErrorKind::usage, "--interests=3");
}

}  // namespace
}  // namespace seqrank
