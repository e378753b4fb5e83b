// Plants each fault (fault.h) and checks that it is reported by what should report it in this
// build, and that without a fault nothing is. Each run is a process of its own.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/emulated/sanitizers.h"

namespace seqrank::emu {
namespace {

// Who may report: V the runtime's checks, D the fibers (the program dies), T ThreadSanitizer,
// A AddressSanitizer, U UndefinedBehaviorSanitizer, S a fault signal, w wrong numbers. In the
// table: who must, at least one of them; "-": perhaps nobody; "": nobody must.
struct Expected {
  const char* fault;
  const char* schedule;  // one that shows it where only the numbers tell
  const char *plain, *address, *threads, *blocks;
};

constexpr Expected kTable[] = {
    // clang-format off
    {"reduce_without_wait",       "forward", "V", "V", "T", "T"},
    {"update_without_wait",       "forward", "V", "V", "T", "T"},
    {"record_too_early",          "forward", "V", "V", "T", "T"},
    {"wait_before_record",        "forward", "V", "V", "V", "V"},
    {"free_while_read",           "forward", "V", "V", "T", "T"},
    {"read_before_copied",        "forward", "V", "V", "T", "T"},
    {"refill_too_early",          "forward", "V", "V", "T", "T"},
    {"read_out_of_bounds",        "forward", "-", "A", "-", "-"},
    {"grid_too_small",            "forward", "V", "V", "V", "V"},
    {"missing_barrier",           "forward", "w", "w", "T", "w"},
    {"blocks_without_atomic",     "forward", "-", "-", "T", "-"},
    {"host_dereferences",         "forward", "S", "S", "S", "S"},
    {"misaligned_vector",         "forward", "-", "U", "-", "-"},
    {"call_in_host_task",         "forward", "V", "V", "V", "V"},
    {"no_barrier_before_read",    "forward", "w", "w", "T", "w"},
    {"no_barrier_after_read",     "greedy",  "w", "w", "T", "w"},
    {"wait_one_group_short",      "forward", "w", "w", "w", "w"},
    {"no_barrier_after_wait",     "forward", "w", "w", "T", "w"},
    {"no_barrier_at_end_of_tile", "greedy",  "w", "w", "T", "w"},
    {"wrong_shuffle_mask",        "forward", "D", "D", "D", "D"},
    {"divergent_barrier",         "forward", "D", "D", "D", "D"},
    {"misaligned_copy",           "forward", "D", "D", "D", "D"},
    {"shared_array_too_small",    "forward", "V", "A", "V", "V"},
    // clang-format on
};

struct Seen {
  std::string reporters, output;
};

void add(std::string& reporters, char reporter, bool seen) {
  if (seen && reporters.find(reporter) == reporters.npos) reporters += reporter;
}

Seen run(const std::string& fault, const std::string& options) {
  // TSan would sleep for a second before every end.
  const std::string command =
      fmt::format("TSAN_OPTIONS=\"$TSAN_OPTIONS atexit_sleep_ms=0\" SEQRANK_EMULATED={} {} {} 2>&1",
                  options, SEQRANK_RUN_FAULT, fault);
  std::FILE* pipe = popen(command.c_str(), "r");
  Seen seen;
  std::array<char, 4096> buffer;
  while (const std::size_t n = std::fread(buffer.data(), 1, buffer.size(), pipe)) {
    seen.output.append(buffer.data(), n);
  }
  const int status = pclose(pipe);
  std::istringstream lines(seen.output);
  const auto has = [](const std::string& line, const char* text) {
    return line.find(text) != line.npos;
  };
  bool any = false;
  for (std::string line; std::getline(lines, line);) {
    add(seen.reporters, 'V',
        line.starts_with("emulated device: ") && !has(line, "a race, seen while"));
    add(seen.reporters, 'D', line.starts_with("simt: "));
    add(seen.reporters, 'T', has(line, "WARNING: ThreadSanitizer"));
    const bool signal = has(line, "Sanitizer: SEGV");
    add(seen.reporters, 'S', signal);
    add(seen.reporters, 'A', has(line, "ERROR: AddressSanitizer: ") && !signal);
    add(seen.reporters, 'U', has(line, "runtime error: "));
    add(seen.reporters, 'w', line == "WRONG NUMBERS");
    any = any || line == "right numbers";
  }
  constexpr int kSegmentationFault = 139;  // as the shell says it
  add(seen.reporters, 'S', WEXITSTATUS(status) == kSegmentationFault);
  // A run that neither came to its end nor says why, or is reported but ends well, is broken.
  if (seen.reporters.empty() ? !any || status != 0 : status == 0) seen.reporters += '?';
  return seen;
}

#if EMU_TSAN
const std::vector<std::string> kViews = {"threads", "blocks"};
#else
const std::vector<std::string> kViews = {"blocks"};  // no matter which
#endif

std::string must_report(const Expected& e, [[maybe_unused]] const std::string& view) {
#if EMU_TSAN
  return view == "threads" ? e.threads : e.blocks;
#elif EMU_ASAN
  return e.address;
#else
  return e.plain;
#endif
}

class PlantedFault : public testing::TestWithParam<Expected> {};

TEST_P(PlantedFault, IsReported) {
  const Expected& e = GetParam();
  for (const std::string& view : kViews) {
    const Seen seen = run(e.fault, fmt::format("tsan={},schedule={}", view, e.schedule));
    const std::string must = must_report(e, view);
    EXPECT_TRUE(must == "-" || seen.reporters.find_first_of(must) != std::string::npos)
        << e.fault << " must be reported by one of \"" << must << "\", was by \"" << seen.reporters
        << "\", TSan's view " << view << "\n"
        << seen.output;
    EXPECT_EQ(seen.reporters.find('?'), std::string::npos) << seen.output;
  }
}

INSTANTIATE_TEST_SUITE_P(Emulated, PlantedFault, testing::ValuesIn(kTable),
                         [](const auto& info) { return std::string(info.param.fault); });

class NoFault : public testing::TestWithParam<std::string> {};

TEST_P(NoFault, IsClean) {
  for (const std::string& view : kViews) {
    for (const char* fault : {"step_without_fault", "kernels_without_fault"}) {
      const Seen seen =
          run(fault, fmt::format("tsan={},schedule={},random_delay_us=100", view, GetParam()));
      EXPECT_EQ(seen.reporters, "") << fault << ", TSan's view " << view << "\n" << seen.output;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Emulated, NoFault,
                         testing::Values("forward", "reverse", "random", "greedy"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace seqrank::emu
