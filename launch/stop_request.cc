// The margin is what a save may take: no save is begun that could not be finished.
#include "launch/stop_request.h"

#include <charconv>
#include <cstdlib>
#include <ctime>
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
  return {{"stop-at", OptionKind::integer, "",
           "time to be gone, in seconds since 1970 (default: Slurm's end time of the job)", "1.."},
          {"stop-margin", OptionKind::integer, "120",
           "seconds before that at which the run saves and stops", "0.."}};
}

StopRequest::StopRequest(const Options& options) {
  const std::int64_t end = options.has("stop-at") ? options.integer("stop-at") : slurm_end_time();
  if (end > 0) stop_time_ = end - options.integer("stop-margin");
}

bool StopRequest::asked() const {
  return stop_signal() != 0 || (stop_time_ && std::time(nullptr) >= *stop_time_);
}

}  // namespace seqrank
