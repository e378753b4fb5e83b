// What the writer leaves on disk: readable by h5dump and h5py, complete or absent.
#include "data/dataset_writer.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <string>
#include <vector>

#include "backend/check.h"
#include "tests/data/data_test_support.h"

namespace seqrank {
namespace {

using test::Scratch;

void write_example(const std::string& path) {
  DatasetWriter writer(path);
  writer.add_sequence(std::vector<std::int32_t>{0, 1, 2}, std::vector<std::int64_t>{10, 20, 20});
  writer.add_sequence({}, {});
  writer.add_sequence(std::vector<std::int32_t>{2, 0}, std::vector<std::int64_t>{5, 6});
  for (const char* key : {"anna", "bö", ""}) writer.add_user_key(key);
  for (const char* key : {"i0", "item-1", "i2"}) writer.add_item_key(key);
  for (const char* title : {"Älter", "B", "C (1999)"}) writer.add_item_title(title);
  writer.set_attribute("tie_rate", 0.25);
  writer.set_attribute("generator", std::string("test"));
  writer.finish(3);
}

TEST(DatasetWriter, H5dumpReadsWhatIsWritten) {
  Scratch scratch;
  const std::string path = scratch.file("a.h5");
  write_example(path);
  std::string out;
  ASSERT_EQ(test::run("h5dump " + path, out), 0) << out;
  for (const char* part : {"(0): 0, 1, 2, 2, 0", "(0): 0, 3, 3, 5", "(0): 10, 20, 20, 5, 6",
                           "\"C (1999)\"", "0.25", "schema_version"}) {
    EXPECT_NE(out.find(part), std::string::npos) << part << "\n" << out;
  }
  ASSERT_EQ(test::run("h5dump -p -H " + path, out), 0);
  EXPECT_NE(out.find("CONTIGUOUS"), std::string::npos) << out;
}

TEST(DatasetWriter, H5pyReadsWhatIsWritten) {
  Scratch scratch;
  if (!test::have_h5py()) GTEST_SKIP() << "python3 has no h5py";
  const std::string path = scratch.file("a.h5");
  write_example(path);
  std::string out;
  ASSERT_EQ(test::run_python("import h5py,sys\n"
                             "f = h5py.File('" +
                                 path +
                                 "')\n"
                                 "print(list(f['event/item']), list(f['sequence/offset']))\n"
                                 "print([k.decode() for k in f['user/key']])\n"
                                 "print(f.attrs['generator'], f.attrs['items'])\n",
                             scratch, out),
            0)
      << out;
  EXPECT_NE(out.find("'anna', 'bö', ''"), std::string::npos) << out;
  EXPECT_NE(out.find("3"), std::string::npos) << out;
}

TEST(DatasetWriter, LeavesNothingWithoutFinish) {
  Scratch scratch;
  {
    DatasetWriter writer(scratch.file("a.h5"));
    writer.add_sequence(std::vector<std::int32_t>{0}, {});
  }
  EXPECT_TRUE(std::filesystem::is_empty(scratch.path()));
}

TEST(DatasetWriter, RefusesAFolderThatIsNotThere) {
  Scratch scratch;
  const std::string path = scratch.file("absent/a.h5");
  SR_EXPECT_ERROR(DatasetWriter writer(path), ErrorKind::data, path);
  SR_EXPECT_ERROR(DatasetWriter writer(scratch.path()), ErrorKind::data, "regular file");
  SR_EXPECT_ERROR(DatasetWriter writer("/dev/null"), ErrorKind::data, "regular file");
}

TEST(DatasetWriter, RefusesKeysThatCannotBeStored) {
  Scratch scratch;
  DatasetWriter writer(scratch.file("a.h5"));
  SR_EXPECT_ERROR(writer.add_item_key(std::string(5000, 'x')), ErrorKind::data, "5000 bytes");
  SR_EXPECT_ERROR(writer.add_item_key(std::string("a\0b", 3)), ErrorKind::data, "NUL");
}

// A file size limit makes writes fail as a full disk does, at every point of the work.
TEST(DatasetWriter, FullDiskIsAnErrorAndLeavesNothing) {
  Scratch scratch;
  const std::string path = scratch.file("a.h5");
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit old_limit{};
  ::getrlimit(RLIMIT_FSIZE, &old_limit);
  int failures = 0;
  for (const rlim_t bytes : {0, 64, 512, 2048, 4096, 8192, 20000, 100000, 399000}) {
    rlimit limit = old_limit;
    limit.rlim_cur = bytes;
    ::setrlimit(RLIMIT_FSIZE, &limit);
    try {
      DatasetWriter writer(path);
      const std::vector<std::int32_t> items(100000, 1);
      writer.add_sequence(items, {});
      writer.finish(2);
    } catch (const Error& error) {
      ++failures;
      EXPECT_EQ(error.kind(), ErrorKind::data);
      EXPECT_NE(std::string(error.what()).find(path), std::string::npos) << error.what();
    }
    ::setrlimit(RLIMIT_FSIZE, &old_limit);
    EXPECT_TRUE(std::filesystem::is_empty(scratch.path())) << "limit " << bytes;
  }
  std::signal(SIGXFSZ, old_handler);
  EXPECT_EQ(failures, 9);
}

}  // namespace
}  // namespace seqrank
