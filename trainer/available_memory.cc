// What the kernel says of the machine, of the process's control group and of those around it. A
// container may see its own group in place of the root: then the path leads nowhere, and the root
// is read all the same.
#include "trainer/available_memory.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <string_view>
#include <vector>

namespace seqrank {
namespace {

constexpr std::int64_t kUnlimited = std::numeric_limits<std::int64_t>::max();

// The names of one version of control groups.
struct GroupFiles {
  std::string folder, limit, usage;
  std::vector<std::string_view> reclaimable;  // of memory.stat; pages of files, caches
};

GroupFiles files_of_version_1() {
  return {"/sys/fs/cgroup/memory",
          "memory.limit_in_bytes",
          "memory.usage_in_bytes",
          {"total_inactive_file", "total_active_file"}};
}

GroupFiles files_of_version_2() {
  return {"/sys/fs/cgroup",
          "memory.max",
          "memory.current",
          {"inactive_file", "active_file", "slab_reclaimable"}};
}

// Nothing where there is no such file, or a word.
std::optional<std::int64_t> number_in(const std::string& path) {
  std::ifstream in(path);
  std::int64_t value = 0;
  if (in >> value) return value;
  return std::nullopt;
}

// Of "name number" lines.
std::int64_t sum_of(const std::string& path, const std::vector<std::string_view>& names) {
  std::ifstream in(path);
  std::string name;
  std::int64_t sum = 0;
  for (std::int64_t value = 0; in >> name >> value;)
    if (std::ranges::find(names, name) != names.end()) sum += value;
  return sum;
}

std::int64_t left_of_group(const std::string& folder, const GroupFiles& files) {
  const std::optional<std::int64_t> limit = number_in(folder + "/" + files.limit);
  if (!limit) return kUnlimited;
  const std::int64_t usage = number_in(folder + "/" + files.usage).value_or(0);
  const std::int64_t reclaimable = sum_of(folder + "/memory.stat", files.reclaimable);
  return *limit - std::max<std::int64_t>(0, usage - reclaimable);
}

// group: as /proc/self/cgroup has it, "/a/b".
std::int64_t left_of_groups(const std::string& root, std::string group, const GroupFiles& files) {
  std::int64_t left = left_of_group(root + files.folder, files);
  for (; group.size() > 1; group.resize(group.rfind('/')))
    left = std::min(left, left_of_group(root + files.folder + group, files));
  return left;
}

// Lines of "number:controllers:group"; version 2 names no controllers.
std::int64_t left_of_control_groups(const std::string& root) {
  std::int64_t left = kUnlimited;
  std::ifstream in(root + "/proc/self/cgroup");
  for (std::string line; std::getline(in, line);) {
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string group = line.substr(second + 1);
    if (!group.starts_with('/')) continue;
    if (controllers.empty())
      left = std::min(left, left_of_groups(root, group, files_of_version_2()));
    if (controllers == "memory")
      left = std::min(left, left_of_groups(root, group, files_of_version_1()));
  }
  return left;
}

}  // namespace

std::int64_t available_memory_bytes(const std::string& root) {
  std::int64_t available = left_of_control_groups(root);
  std::ifstream in(root + "/proc/meminfo");
  std::int64_t kib = 0;
  for (std::string word; in >> word;)
    if (word == "MemAvailable:" && in >> kib) available = std::min(available, kib * 1024);
  if (available == kUnlimited) return 0;
  return std::max<std::int64_t>(available, 1);  // 0 would say that nobody knows
}

bool has_room(std::int64_t bytes_a_rank, int ranks_here, std::int64_t available) {
  return available == 0 || bytes_a_rank <= available / ranks_here;
}

}  // namespace seqrank
