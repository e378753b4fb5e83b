// What prepare refuses: one clear line, and nothing left behind.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>

#include "tests/data/prepared.h"

namespace seqrank {
namespace {

using test::Scratch;
using test::write_text;

class PrepareErrors : public testing::Test {
 protected:
  PrepareOptions given(const std::string& text) {
    write_text(scratch_.file("in.csv"), text);
    return test::prepare_options(scratch_, scratch_.file("in.csv"));
  }
  void expect_data_error(const PrepareOptions& options, const std::string& part) {
    SR_EXPECT_ERROR(prepare(options), ErrorKind::data, part);
    for (const auto& entry : std::filesystem::directory_iterator(scratch_.path()))
      EXPECT_EQ(entry.path().filename(), "in.csv");
    try {
      prepare(options);
    } catch (const Error& error) {
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    }
  }
  Scratch scratch_;
};

std::string good_lines(int count) {
  std::string text = "user,item,time\n";
  for (int i = 0; i < count; ++i) text += fmt::format("u{},i{},{}\n", i % 7, i % 11, i);
  return text;
}

TEST_F(PrepareErrors, WrongPaths) {
  PrepareOptions options = given("user,item\na,b\n");
  options.inputs = {scratch_.file("absent.csv")};
  expect_data_error(options, "absent.csv: cannot be opened");
  options.inputs = {scratch_.path()};
  expect_data_error(options, "is a folder");
  options = given("user,item\na,b\n");
  options.output = scratch_.file("no/such/folder.h5");
  options.temp_folder = scratch_.path();
  expect_data_error(options, "no/such");
  options = given("user,item\na,b\n");
  options.titles = scratch_.file("absent.dat");
  expect_data_error(options, "absent.dat");
}

TEST_F(PrepareErrors, NothingToRead) {
  expect_data_error(given(""), "is empty");
  expect_data_error(given("\n\n"), "is empty");
  expect_data_error(given("user,item,time\n"), "no lines of data");
  expect_data_error(given(std::string("us\0er,item\n", 11)), "not delimited text");
}

TEST_F(PrepareErrors, Columns) {
  expect_data_error(given("who,what,time\na,b,1\n"), "choose with --user out of: who, what, time");
  expect_data_error(given("1,2\n1,3\n"), "--no-header");
  PrepareOptions options = given("user,item,time\na,b,1\n");
  options.item_column = "itm";
  expect_data_error(options, "no column 'itm'; nearest: 'item'; all: user, item, time");
  options = given("a,b\n");
  options.has_header = false;
  options.columns = {"user", "item", "time"};
  expect_data_error(options, "has 2 columns, 3 are named");
  options = given("user,item,time\na,b,1\n");
  options.item_column = "user";
  SR_EXPECT_ERROR(prepare(options), ErrorKind::usage, "three different columns");
}

TEST_F(PrepareErrors, BadLinesAreCountedAndNamed) {
  PrepareOptions options = given(good_lines(992) + "u1,i1\n" + ",i1,1\n" + "u1,,1\n" +
                                 "u1,i1,soon\n" + "u1,\"i1,1\n" + std::string("u\0,i1,1\n", 8) +
                                 std::string(1001, 'u') + ",i1,1\n" + "u1,i1,1,1\n" + "\n");
  expect_data_error(options, "8 of 1000 lines are bad (0.8 %, allowed 0.1 %): line 994: 2 columns");
  options.bad_line_limit = 0.008;  // exactly as many as there are
  const PrepareReport report = prepare(options);
  EXPECT_EQ(report.lines, 1000);
  EXPECT_EQ(report.bad_lines, 8);
  EXPECT_EQ(report.events, 992);
  ASSERT_EQ(report.first_bad_lines.size(), 8u);
  const char* const reasons[] = {"2 columns instead of 3", "no user",  "no item",
                                 "'soon' is not a time",   "a quote",  "NUL",
                                 "longer than 1000 bytes", "4 columns"};
  for (std::size_t i = 0; i < 8; ++i) {
    EXPECT_EQ(report.first_bad_lines[i].line, static_cast<std::int64_t>(994 + i));
    EXPECT_NE(report.first_bad_lines[i].reason.find(reasons[i]), std::string::npos)
        << report.first_bad_lines[i].reason;
  }
}

TEST_F(PrepareErrors, TheLimitIsExactlyOneInAThousand) {
  EXPECT_EQ(prepare(given(good_lines(999) + "bad\n")).bad_lines, 1);
  std::filesystem::remove(scratch_.file("out.h5"));
  expect_data_error(given(good_lines(998) + "bad\n"), "1 of 999 lines are bad");
  expect_data_error(given(good_lines(1997) + "bad\nbad\nbad\n"), "3 of 2000 lines are bad");
}

TEST_F(PrepareErrors, SeveralInputsAreToldApart) {
  PrepareOptions options = given("user,item,time\nbad\n");
  options.inputs = {scratch_.file("in.csv"), scratch_.file("in.csv")};
  expect_data_error(options, "in.csv:2: 1 columns instead of 3");
}

TEST_F(PrepareErrors, AFailedRunKeepsTheFileThatWasThere) {
  PrepareOptions options = given(good_lines(100));
  prepare(options);
  const auto before = test::read_prepared(options.output);
  write_text(scratch_.file("in.csv"), "user,item,time\nbad\n");
  EXPECT_THROW(prepare(options), Error);
  EXPECT_TRUE(test::read_prepared(options.output) == before);
}

TEST_F(PrepareErrors, FullDisk) {
  const PrepareOptions options = given(good_lines(20000));
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, SIG_IGN);
  // Full while sorting, and full while writing the data set (which is smaller than the runs).
  for (const rlim_t bytes : {100000, 200000}) {
    const rlimit small{bytes, before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
    expect_data_error(options, "");
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  }
  EXPECT_EQ(prepare(options).events, 20000);
}

TEST_F(PrepareErrors, AUserThatDoesNotFit) {
  std::string text = "user,item,time\n";
  for (int i = 0; i < 30000; ++i) text += fmt::format("u,i{},{}\n", i % 11, i);
  PrepareOptions options = given(text);
  options.memory_bytes = 1 << 20;
  expect_data_error(options, "user u has more than 16384 events");
  options.max_length = 5000;
  const PrepareReport report = prepare(options);
  EXPECT_EQ(report.events, 5000);
  EXPECT_EQ(report.events_too_old, 25000);
  EXPECT_EQ(test::read_prepared(options.output).times[0].front(), 25000);
}

TEST_F(PrepareErrors, Options) {
  PrepareOptions options = given(good_lines(10));
  options.memory_bytes = 1000;
  SR_EXPECT_ERROR(prepare(options), ErrorKind::usage, "at least 1M");
  options = given(good_lines(10));
  options.columns = {"user", "item", "time"};
  SR_EXPECT_ERROR(prepare(options), ErrorKind::usage, "--no-header");
  options = given(good_lines(10));
  options.output = options.inputs[0];
  SR_EXPECT_ERROR(prepare(options), ErrorKind::usage, "both input and output");
  options = given(good_lines(10));
  options.titles = options.output = scratch_.file("titles.csv");
  write_text(options.titles, "item,title\ni1,One\n");
  SR_EXPECT_ERROR(prepare(options), ErrorKind::usage, "both input and output");
  options = given(good_lines(10));
  options.core_user = 5;
  options.max_length = 4;
  SR_EXPECT_ERROR(prepare(options), ErrorKind::usage, "no user would be left");
}

}  // namespace
}  // namespace seqrank
