// Reports of kernels that cannot go on (simt_report.h).
#include "tests/support/emulated/simt_report.h"

#include <fmt/core.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace seqrank::simt {

bool same_place(const Place& a, const Place& b) {
  return a.line() == b.line() && a.column() == b.column() &&
         (a.file_name() == b.file_name() || std::strcmp(a.file_name(), b.file_name()) == 0);
}

std::string text_of(const Place& place) {
  const std::string path = place.file_name();
  return fmt::format("{}:{}", path.substr(path.rfind('/') + 1), place.line());
}

void die(const char* message, Place place) {
  std::fprintf(stderr, "simt: %s", message);
  if (block != nullptr && thread != nullptr) {
    std::fprintf(stderr, " (block %u,%u,%u thread %u", block->index.x, block->index.y,
                 block->index.z, thread->flat);
    std::fprintf(stderr, ", %s)", text_of(place).c_str());
  }
  std::fputc('\n', stderr);
  std::abort();
}

void report_deadlock(const Block& block, const std::vector<Thread>& threads) {
  std::fprintf(stderr, "simt: deadlock in block (%u,%u,%u):", block.index.x, block.index.y,
               block.index.z);
  for (std::size_t i = 0; i < threads.size();) {
    const Thread& t = threads[i];
    std::size_t last = i;  // of those that wait for the same
    while (last + 1 < threads.size() && threads[last + 1].done == t.done &&
           threads[last + 1].waits_for == t.waits_for &&
           same_place(threads[last + 1].place, t.place)) {
      ++last;
    }
    const std::string who =
        last == i ? fmt::format("thread {}", i) : fmt::format("threads {}-{}", i, last);
    const std::string where =
        t.done ? "ended" : fmt::format("at {}, {}", t.waits_for, text_of(t.place));
    std::fprintf(stderr, "%s %s %s", i == 0 ? "" : ";", who.c_str(), where.c_str());
    i = last + 1;
  }
  std::fputc('\n', stderr);
  std::abort();
}

}  // namespace seqrank::simt
