// Where the end of the time comes from; what to do about it is the trainer's part.
#include "launch/stop_request.h"

#include <charconv>
#include <chrono>
#include <cstdlib>
#include <string_view>

#include "launch/stop_signals.h"

namespace seqrank {
namespace {

std::int64_t slurm_end_time() {
  const char* text = std::getenv("SLURM_JOB_END_TIME");
  std::int64_t end = 0;
  if (text != nullptr) {
    const std::string_view digits = text;
    std::from_chars(digits.data(), digits.data() + digits.size(), end);
  }
  return end;
}

}  // namespace

std::vector<OptionSpec> stop_options() {
  return {
      {"stop-at", OptionKind::integer, "",
       "time to be gone, in seconds since 1970 (default: Slurm's end time of the job)", "1.."},
      {"stop-margin", OptionKind::integer, "120",
       "seconds before that at which the run saves and stops; twice what a save takes at the least",
       "0.."}};
}

StopSource stop_source(const Options& options) {
  StopSource source;
  source.asked = [] { return stop_signal() != 0; };
  source.margin = static_cast<double>(options.integer("stop-margin"));
  const std::int64_t end = options.has("stop-at") ? options.integer("stop-at") : slurm_end_time();
  if (end > 0) {
    source.seconds_left = [end] {
      const std::chrono::duration<double> now = std::chrono::system_clock::now().time_since_epoch();
      return static_cast<double>(end) - now.count();
    };
  }
  return source;
}

}  // namespace seqrank
