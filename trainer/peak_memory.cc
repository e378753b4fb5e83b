// Two files of /proc.
#include "trainer/peak_memory.h"

#include <fstream>
#include <string>

namespace seqrank {

void forget_peak_memory() {
  std::ofstream("/proc/self/clear_refs") << "5";
}

std::int64_t peak_memory_bytes() {
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word) {
    std::int64_t kib = 0;
    if (word == "VmHWM:" && status >> kib) return kib * 1024;
  }
  return 0;
}

}  // namespace seqrank
