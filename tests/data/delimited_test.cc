// Separators, quotes, column names and times as people write them.
#include "data/delimited.h"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

#include "tests/data/data_test_support.h"

namespace seqrank {
namespace {

std::vector<std::string> split(const std::string& separator, std::string_view line) {
  LineSplitter splitter(separator);
  if (!splitter.split(line)) return {"(unclosed)"};
  return {splitter.fields().begin(), splitter.fields().end()};
}

using Fields = std::vector<std::string>;

TEST(Delimited, SeparatorsAreGuessed) {
  EXPECT_EQ(guess_separator("a.csv.gz", "x\ty,z"), ",");
  EXPECT_EQ(guess_separator("a.csv", "x\ty"), "\t");
  EXPECT_EQ(guess_separator("a.inter", "user id\tx,y"), "\t");
  EXPECT_EQ(guess_separator("movies.dat", "1::Toy Story (1995)::a,b"), "::");
  EXPECT_EQ(guess_separator("a.txt", "1 2"), " ");
  EXPECT_EQ(guess_separator("-", "a;b"), ";");
}

TEST(Delimited, FieldsAndQuotes) {
  EXPECT_EQ(split(",", "a,,c"), (Fields{"a", "", "c"}));
  EXPECT_EQ(split(",", ""), Fields{""});
  EXPECT_EQ(split(",", "a,"), (Fields{"a", ""}));
  EXPECT_EQ(split("::", "1::a:b::"), (Fields{"1", "a:b", ""}));
  EXPECT_EQ(split(",", "1,\"Heat, \"\"The\"\" (1995)\",x"),
            (Fields{"1", "Heat, \"The\" (1995)", "x"}));
  EXPECT_EQ(split(",", "\"\",\"a\""), (Fields{"", "a"}));
  EXPECT_EQ(split(",", "1,\"open"), Fields{"(unclosed)"});
  EXPECT_EQ(split("\t", "\"Great\" Cats\tx"), (Fields{"\"Great\" Cats", "x"}));
}

TEST(Delimited, ColumnsByNameTypeAndNumber) {
  const ColumnNames columns("a.inter", {"user_id:token", "item_id:token", "timestamp:float"});
  EXPECT_EQ(columns.find("item_id", "--item"), 1u);
  EXPECT_EQ(columns.find("item_id:token", "--item"), 1u);
  EXPECT_EQ(columns.find("3", "--time"), 2u);
  SR_EXPECT_ERROR(columns.find("itemid", "--item"), ErrorKind::data, "nearest: 'item_id:token'");
  SR_EXPECT_ERROR(columns.find("4", "--item"), ErrorKind::data,
                  "user_id:token, item_id:token, timestamp:float");
  const std::array<std::string_view, 2> candidates = {"time", "timestamp"};
  EXPECT_EQ(columns.guess(candidates), 2u);
  EXPECT_EQ(ColumnNames("b", {"x", "TimeStamp"}).guess(candidates), 1u);
  EXPECT_EQ(ColumnNames("b", {"x"}).guess(candidates), std::nullopt);
}

TEST(Delimited, Times) {
  EXPECT_EQ(parse_time("881250949"), 881250949);
  EXPECT_EQ(parse_time("-1"), -1);
  EXPECT_EQ(parse_time("881250949.75"), 881250949);
  EXPECT_EQ(parse_time("1.5e9"), 1500000000);
  EXPECT_EQ(parse_time("1970-01-01"), 0);
  EXPECT_EQ(parse_time("2000-02-29"), 951782400);
  EXPECT_EQ(parse_time("2023-11-14T22:13:20Z"), 1700000000);
  EXPECT_EQ(parse_time("2023-11-14 22:13:20.5"), 1700000000);
  for (const char* text : {"", "x", "12x", "nan", "inf", "1e300", "2023-13-01", "2023-11-14x",
                           "2023-11-14 25:00", " 1"})
    EXPECT_EQ(parse_time(text), std::nullopt) << text;
}

}  // namespace
}  // namespace seqrank
