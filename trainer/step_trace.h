// What one training step asks of the network, and when: recorded in a world of one, where asking
// costs nothing. scaling_model.h plays it against a modelled network. Knows no step, no model and
// no bucket: it sees calls of a communicator and waits for them.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "backend/profile.h"
#include "collective/communicator.h"

namespace seqrank {

// In the order in which the host made them.
struct TraceEntry {
  double at = 0;          // seconds of compute since the step began
  std::string operation;  // of a call; "" = the compute waits
  // Of a call: its number. Of a wait: the last call that must be over. Counted from the first call
  // of the step, so that negative numbers are calls of the steps before.
  int call = 0;
  std::int64_t bytes = 0;  // of a call; see CallTiming
};

struct StepTrace {
  double seconds = 0;  // of compute
  std::vector<TraceEntry> entries;
};

class TraceRecorder {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // profile: of the context whose steps are recorded; outlives this. The optimiser's work, of which
  // many ranks do a share each, is found in it.
  explicit TraceRecorder(const Profile& profile);
  ~TraceRecorder();

  Communicator& comm() { return *comm_; }

  // The typical step (medians over the steps) of one of `ranks`. begin: of every step, and the end
  // of the last.
  StepTrace trace(const std::vector<Time>& begin, int ranks) const;

 private:
  class RecordingStream;
  StepTrace step_of(Time begin, Time end, int ranks) const;

  std::shared_ptr<RecordingStream> stream_;
  std::vector<CallTiming> log_;
  std::unique_ptr<Communicator> comm_;
};

}  // namespace seqrank
