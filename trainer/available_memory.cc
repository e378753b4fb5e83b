// What the kernel says of the machine and of the control group.
#include "trainer/available_memory.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

namespace seqrank {
namespace {

// The first number of a file; none where there is no such file, or a word.
std::int64_t number_in(const char* path) {
  std::int64_t value = std::numeric_limits<std::int64_t>::max();
  std::ifstream in(path);
  if (!(in >> value)) return std::numeric_limits<std::int64_t>::max();
  return value;
}

}  // namespace

std::int64_t available_memory_bytes() {
  std::int64_t available = std::numeric_limits<std::int64_t>::max();
  std::ifstream in("/proc/meminfo");
  for (std::string word; in >> word;)
    if (word == "MemAvailable:" && in >> available) available *= 1024;
  const std::int64_t limit = number_in("/sys/fs/cgroup/memory.max");
  if (limit != std::numeric_limits<std::int64_t>::max())
    available = std::min(available, limit - number_in("/sys/fs/cgroup/memory.current"));
  return available == std::numeric_limits<std::int64_t>::max() ? 0 : available;
}

bool has_room(std::int64_t bytes_a_rank, int ranks_here, std::int64_t available) {
  return available == 0 || bytes_a_rank <= available / ranks_here;
}

}  // namespace seqrank
