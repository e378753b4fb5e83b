// Small readers and writers of text: sizes of memory, tables, files of numbers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "backend/check.h"
#include "launch/memory_size.h"
#include "launch/output.h"
#include "launch/table.h"

namespace seqrank {
namespace {

using ::testing::HasSubstr;

TEST(MemorySize, ReadsSuffixes) {
  EXPECT_EQ(parse_memory_size("memory", "256M"), std::int64_t{256} << 20);
  EXPECT_EQ(parse_memory_size("memory", "1G"), std::int64_t{1} << 30);
  EXPECT_EQ(parse_memory_size("memory", "64k"), 64 << 10);
  EXPECT_EQ(parse_memory_size("memory", "4096"), 4096);
}

TEST(MemorySize, RefusesEverythingElse) {
  for (const char* text :
       {"", "M", "1.5G", "-1M", "0", "1MB", "1 G", "9999999999G", "99999999999999999999"}) {
    EXPECT_THROW(parse_memory_size("memory", text), Error) << "'" << text << "'";
  }
}

TEST(MemorySize, SpeaksToPeople) {
  EXPECT_EQ(memory_words(512), "512 B");
  EXPECT_EQ(memory_words(std::int64_t{256} << 20), "256 MiB");
  EXPECT_EQ(memory_words(std::int64_t{1536} << 20), "1.5 GiB");
}

TEST(Table, AlignsByCharactersNotBytes) {
  EXPECT_EQ(format_table({"title", "n"}, {{"Amélie", "1"}, {"Alien", "1,000"}}),
            "title       n\n"
            "Amélie      1\n"
            "Alien   1,000\n");
}

TEST(Table, GroupsDigits) {
  EXPECT_EQ(with_commas(0), "0");
  EXPECT_EQ(with_commas(999), "999");
  EXPECT_EQ(with_commas(1000), "1,000");
  EXPECT_EQ(with_commas(-1234567), "-1,234,567");
}

TEST(WriteFile, IsThereWholeOrNotAtAll) {
  const std::string folder = fmt::format("{}text_test_{}", ::testing::TempDir(), ::getpid());
  std::filesystem::create_directory(folder);
  write_file(folder + "/a.json", "{}\n");
  std::ifstream file(folder + "/a.json");
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), "{}\n");
  EXPECT_THROW(write_file(folder + "/missing/a.json", "{}"), Error);
  std::filesystem::create_directory(folder + "/taken");
  EXPECT_THROW(write_file(folder + "/taken", "{}"), Error);  // a folder stands there
  const auto left = std::distance(std::filesystem::directory_iterator(folder), {});
  EXPECT_EQ(left, 2);  // a.json and taken: no temporary file
  std::filesystem::remove_all(folder);
}

TEST(WriteFile, WritesIntoWhatIsNoPlainFile) {
  const std::string folder = fmt::format("{}text_test_{}", ::testing::TempDir(), ::getpid());
  std::filesystem::create_directory(folder);
  write_file(folder + "/a.json", "old");
  std::filesystem::create_symlink("a.json", folder + "/link.json");
  write_file(folder + "/link.json", "{}\n");
  EXPECT_TRUE(std::filesystem::is_symlink(folder + "/link.json"));
  std::ifstream file(folder + "/a.json");
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), "{}\n");
  // Through a link, so that a write_file that renames spoils a link and not the device.
  std::filesystem::create_symlink("/dev/full", folder + "/full");
  EXPECT_THROW(write_file(folder + "/full", "{}"), Error);
  EXPECT_TRUE(std::filesystem::is_symlink(folder + "/full"));
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace seqrank
