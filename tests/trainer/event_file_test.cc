// Event files: framing, order of names, and trouble that must not reach the run. That values and
// resumed runs read back right is shown by tests/launch/event_files_test.py, with its own reader.
#include "trainer/event_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <limits>

#include "tests/trainer/checkpoint_support.h"
#include "trainer/run_folder.h"

namespace seqrank {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

std::vector<std::string> event_files(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("events.out.tfevents.")) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

// No file of this process grows beyond `bytes` while it lives: write(2) fails as on a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit now = {bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &now);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int);
};

class EventFileTest : public testing::Test {
 protected:
  EventFile::Report report() {
    return [this](const std::string& line) { reports_.push_back(line); };
  }
  Scratch temp_;
  std::vector<std::string> reports_;
};

TEST_F(EventFileTest, BeginsAsEveryEventFileDoes) {
  EventFile events(temp_.path(), 0, report());
  ASSERT_EQ(event_files(temp_.path()).size(), 1u);
  const std::string bytes = read_file(temp_.path() + "/" + event_files(temp_.path())[0]);
  // 24 bytes of message, the masked sum of these 8 bytes: the same in any file of TensorFlow's.
  EXPECT_THAT(bytes, StartsWith(std::string("\x18\0\0\0\0\0\0\0\xa3\x7fK\"", 12)));
  EXPECT_THAT(bytes, HasSubstr("\x1a\rbrain.Event:2"));
  EXPECT_TRUE(reports_.empty());
}

// metrics.jsonl has null for them; TensorBoard marks them in its curves.
TEST_F(EventFileTest, KeepsZeroAndWhatIsNotFinite) {
  EventFile events(temp_.path(), 0, report());
  events.append(1, "train", {{"a", std::numeric_limits<double>::infinity()}, {"b", 0}});
  const std::string bytes = read_file(temp_.path() + "/" + event_files(temp_.path())[0]);
  EXPECT_THAT(bytes, HasSubstr(std::string("train/a\x15\0\0\x80\x7f", 12)));
  EXPECT_THAT(bytes, HasSubstr(std::string("train/b\x15\0\0\0\0", 12)));
}

TEST_F(EventFileTest, NamesSortInTheOrderOfStartsWhateverTheClockSays) {
  const std::string of_tomorrow = "events.out.tfevents.4000000000.elsewhere";
  write_file(temp_.path() + "/" + of_tomorrow, "");
  write_file(temp_.path() + "/events.out.tfevents.x", "");
  for (std::int64_t step : {0, 10, 20}) EventFile(temp_.path(), step, report());
  EXPECT_THAT(event_files(temp_.path()),
              ElementsAre(of_tomorrow, "events.out.tfevents.4000000001.seqrank",
                          "events.out.tfevents.4000000002.seqrank",
                          "events.out.tfevents.4000000003.seqrank", "events.out.tfevents.x"));
  EXPECT_TRUE(reports_.empty());
}

TEST_F(EventFileTest, ThatCannotBeMadeIsReportedOnce) {
  EventFile events(temp_.path() + "/absent", 0, report());
  events.append(1, "train", {{"loss", 1}});
  events.append(2, "train", {{"loss", 1}});
  ASSERT_EQ(reports_.size(), 1u);
  EXPECT_THAT(reports_[0], HasSubstr("absent/events.out.tfevents."));
  EXPECT_THAT(reports_[0], HasSubstr("goes on without TensorBoard events"));
}

// Larger than metrics.jsonl for the same lines, so that there is a size which ends one of them.
TEST_F(EventFileTest, ThatCannotGrowIsReportedOnceAndLeavesTheMetricsAlone) {
  RunFolder folder(temp_.path());
  folder.open_metrics(0);
  folder.open_events(0, report());
  {
    const FileSizeLimit limit(450);
    for (std::int64_t step = 1; step <= 4; ++step) folder.append_step({step, 1, 1, 1, 1, 1, 1, 1});
  }
  folder.append_step({5, 1, 1, 1, 1, 1, 1, 1});
  ASSERT_EQ(reports_.size(), 1u);
  EXPECT_THAT(reports_[0], HasSubstr("cannot be written: File too large"));
  const std::string metrics = read_file(folder.metrics_path());
  EXPECT_EQ(std::count(metrics.begin(), metrics.end(), '\n'), 5);
  EXPECT_LE(read_file(temp_.path() + "/" + event_files(temp_.path())[0]).size(), 450u);
}

}  // namespace
}  // namespace seqrank
