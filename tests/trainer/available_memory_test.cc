// What is available by made-up files of a host: limits of control groups of both versions.
#include "trainer/available_memory.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/scratch.h"

namespace seqrank {
namespace {

constexpr std::int64_t kGiB = std::int64_t{1} << 30;

class AvailableMemory : public testing::Test {
 protected:
  AvailableMemory() { file("/proc/meminfo", "MemTotal: 999 kB\nMemAvailable: 104857600 kB\n"); }
  void file(const std::string& path, const std::string& text) const {
    const std::filesystem::path whole = temp_.path() + path;
    std::filesystem::create_directories(whole.parent_path());
    std::ofstream(whole) << text;
  }
  void group(const std::string& folder, const std::string& limit, std::int64_t usage) const {
    file("/sys/fs/cgroup" + folder + "/memory.max", limit + "\n");
    file("/sys/fs/cgroup" + folder + "/memory.current", std::to_string(usage) + "\n");
  }
  void expect_gib(std::int64_t gib) const {
    EXPECT_EQ(available_memory_bytes(temp_.path()), gib * kGiB);
  }

  const test::Scratch temp_;
};

TEST_F(AvailableMemory, IsTheMachinesWhereNothingLimitsIt) {
  expect_gib(100);
  file("/proc/self/cgroup", "0::/a/b\n");
  expect_gib(100);
  group("/a/b", "max", kGiB);
  group("", "max", kGiB);
  expect_gib(100);
}

TEST_F(AvailableMemory, IsNotKnownWithoutFiles) {
  EXPECT_EQ(available_memory_bytes(temp_.path() + "/nowhere"), 0);
}

TEST_F(AvailableMemory, IsLimitedByTheGroupAndByThoseAroundIt) {
  file("/proc/self/cgroup", "1:name=systemd:/x\n0::/slurm/job_7/step_0\n");
  group("/slurm/job_7/step_0", "max", kGiB);
  group("/slurm/job_7", std::to_string(16 * kGiB), 2 * kGiB);
  expect_gib(14);
  group("/slurm/job_7/step_0", std::to_string(4 * kGiB), kGiB);
  expect_gib(3);
  group("", std::to_string(2 * kGiB), kGiB);
  expect_gib(1);
  group("", std::to_string(2 * kGiB), 3 * kGiB);
  EXPECT_EQ(available_memory_bytes(temp_.path()), 1) << "nothing, and that is known";
}

TEST_F(AvailableMemory, OfAContainerThatSeesItsGroupAsTheRoot) {
  file("/proc/self/cgroup", "0::/docker/0123\n");
  group("", std::to_string(8 * kGiB), kGiB);
  expect_gib(7);
}

TEST_F(AvailableMemory, HasThePagesOfFiles) {
  file("/proc/self/cgroup", "0::/a\n");
  group("/a", std::to_string(16 * kGiB), 12 * kGiB);
  expect_gib(4);
  file("/sys/fs/cgroup/a/memory.stat", "anon 1\ninactive_file " + std::to_string(5 * kGiB) +
                                           "\nactive_file " + std::to_string(2 * kGiB) +
                                           "\nslab_reclaimable " + std::to_string(kGiB) + "\n");
  expect_gib(12);
}

TEST_F(AvailableMemory, OfGroupsOfVersionOne) {
  file("/proc/self/cgroup", "5:cpu:/cpus\n4:memory:/slurm/job_7\n0::/\n");
  file("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  file("/sys/fs/cgroup/memory/memory.usage_in_bytes", "99999999\n");
  expect_gib(100);
  file("/sys/fs/cgroup/memory/slurm/job_7/memory.limit_in_bytes", std::to_string(8 * kGiB));
  file("/sys/fs/cgroup/memory/slurm/job_7/memory.usage_in_bytes", std::to_string(6 * kGiB));
  expect_gib(2);
  file("/sys/fs/cgroup/memory/slurm/job_7/memory.stat",
       "inactive_file 7\ntotal_inactive_file " + std::to_string(3 * kGiB) + "\n");
  expect_gib(5);
}

TEST(Room, IsOfAllRanksTogether) {
  EXPECT_TRUE(has_room(5, 4, 20));
  EXPECT_FALSE(has_room(5, 4, 19));
  EXPECT_TRUE(has_room(std::int64_t{1} << 62, 4, 0)) << "nobody knows";
}

}  // namespace
}  // namespace seqrank
