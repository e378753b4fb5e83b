// What prepare makes of text: order, ids, ties, filters, titles; the same whatever the order of
// lines and the memory.
#include "data/prepare.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "tests/data/prepared.h"

namespace seqrank {
namespace {

using test::Prepared;
using test::Scratch;
using test::write_text;
using Keys = std::vector<std::string>;

Prepared prepare_text(const Scratch& scratch, const std::string& text,
                      PrepareReport* report = nullptr) {
  write_text(scratch.file("in.csv"), text);
  const PrepareOptions options = test::prepare_options(scratch, scratch.file("in.csv"));
  const PrepareReport made = prepare(options);
  if (report) *report = made;
  return test::read_prepared(options.output);
}

TEST(Prepare, SortsByTimeAndNumbersByFrequency) {
  Scratch scratch;
  PrepareReport report;
  const Prepared got = prepare_text(scratch,
                                    "user_id:token,rating,item_id:token,timestamp:float\n"
                                    "10,5,b,300\n9,1,a,5\n10,5,a,100\n10,3,c,200\n9,2,b,4\n"
                                    "10,1,a,-7\n",
                                    &report);
  EXPECT_EQ(got.users, (Keys{"9", "10"}));
  EXPECT_EQ(got.item_keys, (Keys{"a", "b", "c"}));
  EXPECT_EQ(got.items, (std::vector<Keys>{{"b", "a"}, {"a", "a", "c", "b"}}));
  EXPECT_EQ(got.times[1], (std::vector<std::int64_t>{-7, 100, 200, 300}));
  EXPECT_EQ(got.titles, got.item_keys);
  EXPECT_EQ(report.user_column, "user_id:token");
  EXPECT_EQ(report.time_column, "timestamp:float");
  EXPECT_EQ(report.lines, 6);
  EXPECT_EQ(report.events, 6);
  EXPECT_EQ(report.items, 3);
  EXPECT_EQ(report.counter_bytes, 12);
}

TEST(Prepare, TiesGoByTheOrderOfLines) {
  Scratch scratch;
  const Prepared got =
      prepare_text(scratch, "user,item,time\nu,z,1\nu,y,1\nu,x,0\nv,q,1\nu,w,1\nu,z,2\n");
  EXPECT_EQ(got.items[0], (Keys{"x", "z", "y", "w", "z"}));
  EXPECT_DOUBLE_EQ(got.tie_rate, 2.0 / 6.0);
}

TEST(Prepare, WithoutTimesTheOrderOfLinesIsTheOrderOfTime) {
  Scratch scratch;
  write_text(scratch.file("a.txt"), "1 5\n2 6\n1 4\n1 5\n");
  PrepareOptions options = test::prepare_options(scratch, scratch.file("a.txt"));
  options.has_header = false;
  options.columns = {"user", "item"};
  const PrepareReport report = prepare(options);
  const Prepared got = test::read_prepared(options.output);
  EXPECT_EQ(got.items, (std::vector<Keys>{{"5", "4", "5"}, {"6"}}));
  EXPECT_TRUE(got.times[0].empty());
  EXPECT_EQ(got.tie_rate, 0);
  EXPECT_EQ(report.time_column, "");
  // Columns by number give the same; so does a time column that is not to be used.
  options.columns = {};
  options.user_column = "1";
  options.item_column = "2";
  prepare(options);
  EXPECT_EQ(test::read_prepared(options.output), got);
  write_text(scratch.file("b.csv"), "user,item,time\n1,5,9\n2,6,0\n1,4,8\n1,5,7\n");
  PrepareOptions timed = test::prepare_options(scratch, scratch.file("b.csv"));
  timed.time_column = "none";
  prepare(timed);
  EXPECT_EQ(test::read_prepared(timed.output), got);
}

// Events with keys of 36 characters; no two of a user at the same time.
std::vector<std::string> random_lines(int count) {
  std::mt19937 random(11);
  std::vector<std::string> lines;
  for (int i = 0; i < count; ++i)
    lines.push_back(fmt::format("{:08x}-1234-5678-9abc-{:012d},item-{:031d},{}\n",
                                random() % 997 * 2654435761u, random() % 3,
                                random() % 500 * (random() % 500) / 500, 1000000 + i));
  return lines;
}

std::string with_header(const std::vector<std::string>& lines) {
  std::string text = "user,item,time\n";
  for (const std::string& line : lines) text += line;
  return text;
}

TEST(Prepare, OrderOfLinesMemoryAndFilesDoNotMatter) {
  Scratch scratch;
  std::vector<std::string> lines = random_lines(20000);
  const Prepared wanted = prepare_text(scratch, with_header(lines));
  ASSERT_GT(wanted.users.size(), 900u);
  ASSERT_GT(wanted.item_keys.size(), 300u);
  std::shuffle(lines.begin(), lines.end(), std::mt19937(5));
  EXPECT_TRUE(prepare_text(scratch, with_header(lines)) == wanted);

  const auto half = lines.begin() + 7001;
  write_text(scratch.file("1.csv"), with_header({lines.begin(), half}));
  write_text(scratch.file("2.csv"), with_header({half, lines.end()}));
  PrepareOptions options = test::prepare_options(scratch, scratch.file("1.csv"));
  options.inputs.push_back(scratch.file("2.csv"));
  options.memory_bytes = 1 << 20;  // the least there may be: several runs
  const PrepareReport report = prepare(options);
  EXPECT_EQ(report.lines, 20000);
  EXPECT_GT(report.temp_bytes, 1 << 20);
  EXPECT_TRUE(test::read_prepared(options.output) == wanted);
}

TEST(Prepare, ReadsPackedFilesStandardInputAndWindowsLineEnds) {
  Scratch scratch;
  const std::string text = with_header(random_lines(500));
  const Prepared wanted = prepare_text(scratch, text);
  std::string windows = "\xef\xbb\xbf";
  for (const char c : text) windows += c == '\n' ? std::string("\r\n") : std::string(1, c);
  EXPECT_TRUE(prepare_text(scratch, windows) == wanted);

  write_text(scratch.file("a.csv"), text);
  std::string out;
  ASSERT_EQ(test::run("gzip -k " + scratch.file("a.csv"), out), 0) << out;
  PrepareOptions options = test::prepare_options(scratch, scratch.file("a.csv.gz"));
  prepare(options);
  EXPECT_TRUE(test::read_prepared(options.output) == wanted);

  const int saved = ::dup(STDIN_FILENO);
  ASSERT_NE(std::freopen(scratch.file("a.csv").c_str(), "r", stdin), nullptr);
  options.inputs = {"-"};
  prepare(options);
  ::dup2(saved, STDIN_FILENO);
  ::close(saved);
  EXPECT_TRUE(test::read_prepared(options.output) == wanted);
}

TEST(Prepare, CoreAndLengths) {
  Scratch scratch;
  // r is rare; without it w has one event, so w goes, and so does s.
  write_text(scratch.file("in.csv"),
             "user,item,time\nu,a,1\nu,b,2\nv,a,1\nv,b,2\nw,r,1\nw,s,2\nx,s,1\nx,a,2\nx,b,3\n");
  PrepareOptions options = test::prepare_options(scratch, scratch.file("in.csv"));
  options.core_user = options.core_item = 2;
  PrepareReport report = prepare(options);
  Prepared got = test::read_prepared(options.output);
  EXPECT_EQ(got.users, (Keys{"u", "v", "x"}));
  EXPECT_EQ(got.item_keys, (Keys{"a", "b"}));
  EXPECT_EQ(got.items[2], (Keys{"a", "b"}));
  EXPECT_EQ(report.users_dropped, 1);
  EXPECT_EQ(report.items_dropped, 2);
  EXPECT_EQ(report.events + report.events_rare_item + report.events_short_user, report.lines);

  options.core_item = 1;
  options.core_user = 3;
  report = prepare(options);
  got = test::read_prepared(options.output);
  EXPECT_EQ(got.users, Keys{"x"});
  EXPECT_EQ(got.items[0], (Keys{"s", "a", "b"}));
  EXPECT_EQ(report.events_short_user, 6);

  options.core_user = 1;
  options.max_length = 2;  // the latest
  report = prepare(options);
  got = test::read_prepared(options.output);
  EXPECT_EQ(got.items[3], (Keys{"a", "b"}));
  EXPECT_EQ(got.times[3], (std::vector<std::int64_t>{2, 3}));
  EXPECT_EQ(report.events_too_old, 1);

  options.core_user = 2;
  options.core_item = 100;
  SR_EXPECT_ERROR(prepare(options), ErrorKind::data, "nothing is left of 9 lines");
}

TEST(Prepare, TitlesAreJoinedByKey) {
  Scratch scratch;
  write_text(scratch.file("in.csv"), "user,item\nu,10\nu,9\nv,9\nv,caf\xe9\n");
  write_text(scratch.file("movies.dat"),
             "11::Unseen::x\n10::Am\xe9lie (2001)::y\n9::First::x\n9::Second::x\n");
  PrepareOptions options = test::prepare_options(scratch, scratch.file("in.csv"));
  options.titles = scratch.file("movies.dat");
  options.titles_columns = {"id", "title", "genres"};
  const PrepareReport report = prepare(options);
  const Prepared got = test::read_prepared(options.output);
  EXPECT_EQ(got.item_keys, (Keys{"9", "10", "caf\xc3\xa9"}));
  EXPECT_EQ(got.titles, (Keys{"First", "Am\xc3\xa9lie (2001)", "caf\xc3\xa9"}));
  EXPECT_EQ(report.titles, 2);
}

TEST(Prepare, ProgressNamesTheStages) {
  Scratch scratch;
  write_text(scratch.file("in.csv"), with_header(random_lines(70000)));
  std::vector<std::string> stages;
  prepare(test::prepare_options(scratch, scratch.file("in.csv")), [&](const PrepareProgress& now) {
    EXPECT_LE(now.done, now.total);
    if (stages.empty() || stages.back() != now.stage) stages.push_back(now.stage);
  });
  ASSERT_GE(stages.size(), 3u);
  EXPECT_EQ(stages[0], "reading lines");
}

TEST(PrepareRealData, MovieLens100K) {
  const std::string input = test::real_data("ml-100k/ml-100k.inter");
  if (input.empty()) GTEST_SKIP() << "ml-100k is not here; set SEQRANK_TEST_DATA";
  Scratch scratch;
  PrepareOptions options = test::prepare_options(scratch, input);
  options.titles = test::real_data("ml-100k/ml-100k.item");
  const PrepareReport report = prepare(options);
  EXPECT_EQ(report.users, 943);
  EXPECT_EQ(report.items, 1682);
  EXPECT_EQ(report.events, 100000);
  EXPECT_EQ(report.titles, 1682);
  EXPECT_EQ(report.bad_lines, 0);
  const Dataset dataset = Dataset::open(options.output);
  EXPECT_EQ(dataset.item_title(0), "Star Wars");  // 583 ratings, the most
  EXPECT_EQ(dataset.user_key(195), "196");
}

TEST(PrepareRealData, MovieLens1M) {
  const std::string input = test::real_data("ml-1m/ml-1m.txt.zst");
  if (input.empty()) GTEST_SKIP() << "ml-1m is not here; set SEQRANK_TEST_DATA";
  Scratch scratch;
  PrepareOptions options = test::prepare_options(scratch, input);
  options.has_header = false;
  options.columns = {"user", "item"};
  const PrepareReport report = prepare(options);
  EXPECT_EQ(report.users, 6040);
  EXPECT_EQ(report.items, 3416);
  EXPECT_EQ(report.events, 999611);
}

}  // namespace
}  // namespace seqrank
