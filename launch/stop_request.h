// What asks a run to save and stop from outside the run folder: a signal, or the end of the time it
// was given. Only asks; the step loop acts. (The file STOP is the trainer's part.)
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "models/options.h"

namespace seqrank {

// "stop-at", "stop-margin".
std::vector<OptionSpec> stop_options();

class StopRequest {
 public:
  // The end time is --stop-at, else Slurm's.
  explicit StopRequest(const Options& options);

  bool asked() const;  // cheap enough for every step

 private:
  std::optional<std::int64_t> stop_time_;  // seconds since 1970
};

}  // namespace seqrank
