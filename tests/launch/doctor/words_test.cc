// Words for many ranks stay short, and the ranks' table stays one screen.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "launch/doctor/finding.h"
#include "launch/doctor/rank_table.h"

namespace seqrank {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

std::vector<Seat> seats(int nodes, int per_node) {
  std::vector<Seat> result;
  for (int rank = 0; rank < nodes * per_node; ++rank)
    result.push_back({"n" + std::to_string(rank / per_node + 1),
                      rank / per_node * per_node,
                      rank % per_node,
                      {rank % per_node},
                      {rank % per_node}});
  return result;
}

TEST(Words, RangesOfRanks) {
  EXPECT_EQ(ranges({}), "");
  EXPECT_EQ(ranges({3}), "3");
  EXPECT_EQ(ranges({0, 1, 2, 3, 7, 9, 10}), "0-3, 7, 9-10");
  EXPECT_EQ(ranges({0, 2, 4, 6, 8, 10, 12, 14}), "0, 2, 4, 6, 8, 10, ... 8 in all");
}

TEST(Words, WhereNamesHostsWhileTheyAreFew) {
  EXPECT_EQ(where_words({3}, seats(2, 4)), "rank 3 on n1");
  EXPECT_EQ(where_words({2, 3, 4}, seats(2, 4)), "ranks 2-3 on n1, rank 4 on n2");
  EXPECT_EQ(where_words({0, 1}, seats(1, 2)), "all ranks, on n1");
  EXPECT_EQ(where_words({0, 1}, seats(2, 1)), "all ranks");
  EXPECT_EQ(where_words({0, 1, 2, 3, 4}, seats(6, 1)), "ranks 0-4 on 5 hosts: n1, n2, n3, ...");
}

TEST(Words, ALineHasNoControlCharactersAndNoRankOfAWorldOfOne) {
  const Finding finding{"data", Severity::error, ErrorKind::data, "a\nb.h5: is empty", "fill it",
                        {0}};
  EXPECT_EQ(to_line(finding, seats(1, 1)), "a\\x0ab.h5: is empty; fill it");
}

TEST(Words, EqualFindingsOfManyRanksBecomeOne) {
  const Finding first{"data", Severity::error, ErrorKind::data, "x", "y", {4}};
  Finding second = first, other = first;
  second.ranks = {1};
  other.what = "z";
  const auto findings = merged({first, other, second});
  ASSERT_THAT(findings, SizeIs(2));
  EXPECT_THAT(findings[0].ranks, ElementsAre(1, 4));
}

TEST(Words, TheFirstErrorDecidesTheCode) {
  const Finding warning{"a", Severity::warning, ErrorKind::data, "", "", {0}};
  const Finding error{"b", Severity::error, ErrorKind::peers, "", "", {0}};
  const Finding later{"c", Severity::error, ErrorKind::usage, "", "", {0}};
  EXPECT_EQ(exit_code({warning}), 0);
  EXPECT_EQ(exit_code({warning, error, later}), 5);
}

std::vector<ProcessFacts> processes(int nodes, int per_node) {
  std::vector<ProcessFacts> all;
  for (const Seat& seat : seats(nodes, per_node)) {
    all.emplace_back().seat = seat;
    for (const char* pci : {"0", "1"}) all.back().cuda.devices.emplace_back().pci = pci;
  }
  return all;
}

std::ptrdiff_t lines(const std::string& text) {
  return std::count(text.begin(), text.end(), '\n');
}

TEST(RankTable, HasARowForEveryKindOfRank) {
  const std::string table = rank_table(processes(2, 2));
  EXPECT_EQ(lines(table), 5) << table;
  EXPECT_THAT(table, HasSubstr("3     n2             1  1 (1)                     1  1\n"));
}

TEST(RankTable, MergesTheRanksOfAHost) {
  const std::string table = rank_table(processes(20, 4));
  EXPECT_EQ(lines(table), 21) << table;
  EXPECT_THAT(table, HasSubstr("76-79  n20          0-3  1 each (0-3)              1  0, 1\n"));
}

TEST(RankTable, MergesHostsThatAreAlike) {
  auto all = processes(1000, 4);
  for (int rank = 400; rank < 404; ++rank) all[rank].threads = 3;
  const std::string table = rank_table(all);
  EXPECT_EQ(lines(table), 3) << table;
  EXPECT_THAT(table, HasSubstr("999 hosts: n1, n10, n100, ..."));
  EXPECT_THAT(table, HasSubstr("400-403"));
}

TEST(RankTable, IsOneScreenWhenAllHostsDiffer) {
  auto all = processes(100, 1);
  for (std::size_t rank = 0; rank < all.size(); ++rank)
    all[rank].threads = static_cast<int>(rank) + 1;
  const std::string table = rank_table(all);
  EXPECT_EQ(lines(table), 26) << table;
  EXPECT_THAT(table, HasSubstr("... and 76 more rows; --json=FILE"));
}

}  // namespace
}  // namespace seqrank
