// Sorting in little memory equals std::sort; temporary files leave nothing and say when the disk is
// full.
#include "data/external_sort.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <random>
#include <string>
#include <vector>

#include "data/record.h"
#include "tests/data/data_test_support.h"

namespace seqrank {
namespace {

using test::Scratch;

std::vector<std::string> drain(ExternalSort& sort) {
  sort.finish();
  std::vector<std::string> out;
  std::string_view record;
  while (sort.next(record)) out.emplace_back(record);
  EXPECT_FALSE(sort.next(record));  // stays at the end
  return out;
}

// Records that share long beginnings, contain NULs and high bytes, are empty or repeat.
std::vector<std::string> awkward_records(int count) {
  std::mt19937 random(7);
  std::vector<std::string> records;
  for (int i = 0; i < count; ++i) {
    std::string record(random() % 3 * 9, 'x');
    for (auto bytes = random() % 24; bytes > 0; --bytes)
      record.push_back(
          "\0\x01\x7f\x80\xff"
          "a"[random() % 6]);
    records.push_back(random() % 5 == 0 && i > 0 ? records[random() % i] : record);
  }
  return records;
}

TEST(ExternalSort, ManyRunsAndLevelsEqualStdSort) {
  Scratch scratch;
  TempFolder folder(scratch.path());
  std::vector<std::string> records = awkward_records(60000);
  // The least memory there is: 64 KiB runs, two of them merged at a time.
  ExternalSort sort(folder, {1, 1});
  for (const std::string& record : records) sort.add(record);
  const std::vector<std::string> sorted = drain(sort);
  EXPECT_GT(sort.runs_written(), 8);
  std::sort(records.begin(), records.end());
  EXPECT_TRUE(sorted == records);
  EXPECT_TRUE(std::filesystem::is_empty(scratch.path()));  // while the files are still open
}

TEST(ExternalSort, EmptySingleAndGreatestRecords) {
  Scratch scratch;
  TempFolder folder(scratch.path());
  ExternalSort none(folder, {1, 1});
  EXPECT_TRUE(drain(none).empty());
  ExternalSort sort(folder, {1, 1});
  const std::vector<std::string> records = {std::string(65535, 'b'), "", std::string(65535, 'a'),
                                            "c", ""};
  for (const std::string& record : records) sort.add(record);
  EXPECT_EQ(drain(sort), (std::vector<std::string>{"", "", records[2], records[0], records[3]}));
}

TEST(ExternalSort, DropsWhatWasNotReadAndCountsThePeak) {
  Scratch scratch;
  TempFolder folder(scratch.path());
  {
    ExternalSort sort(folder, {1, 1});
    for (const std::string& record : awkward_records(20000)) sort.add(record);
  }
  TempFile later(folder);
  later.append("abc", 3);
  later.flush();
  const std::int64_t peak = folder.peak_bytes();
  EXPECT_GT(peak, 100000);
  EXPECT_LT(peak, 1000000);  // the first sort's bytes are not held any more
}

TEST(ExternalSort, SaysWhenTheDiskIsFull) {
  Scratch scratch;
  TempFolder folder(scratch.path());
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{40000, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const auto fill = [&] {
    ExternalSort sort(folder, {1, 1});
    for (const std::string& record : awkward_records(20000)) sort.add(record);
    drain(sort);
  };
  SR_EXPECT_ERROR(fill(), ErrorKind::data, "cannot write temporary data");
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_TRUE(std::filesystem::is_empty(scratch.path()));
}

TEST(TempFile, FolderThatCannotBeWritten) {
  TempFolder folder("/proc/none");
  SR_EXPECT_ERROR(TempFile file(folder), ErrorKind::data, "/proc/none");
}

TEST(Record, BytesOrderLikeNumbersKeysAndTimes) {
  const auto time = [](std::int64_t value) {
    std::string record;
    put_time(record, value);
    return record;
  };
  EXPECT_LT(time(INT64_MIN), time(-1));
  EXPECT_LT(time(-1), time(0));
  EXPECT_LT(time(255), time(256));
  const auto key = [](std::string_view text) {
    std::string record;
    put_key(record, text);
    return record;
  };
  EXPECT_LT(key("9"), key("10"));
  EXPECT_LT(key("10"), key("11"));
  EXPECT_LT(key("zz"), key("aaa"));
  std::string record = key("film") + time(-5);
  std::string_view rest = record;
  EXPECT_EQ(key_text(take_key(rest)), "film");
  EXPECT_EQ(take_time(rest), -5);
  EXPECT_TRUE(rest.empty());
}

}  // namespace
}  // namespace seqrank
