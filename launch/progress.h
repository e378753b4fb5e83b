// How far a long command has got, on standard error: a bar that redraws itself on a terminal, plain
// lines in a file or a pipe (no control characters there). Never on standard output. Under mpirun
// and srun a rank's standard error is a pipe: lines.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "launch/progress_line.h"

namespace seqrank {

class Progress {
 public:
  using Notes = std::function<std::vector<std::string>()>;

  // total = 0: unknown, only the count is shown. `unit`: of what is counted, "steps"; may be "".
  Progress(const std::string& title, const std::string& unit, std::int64_t total);
  ~Progress();  // ends the line that a bar stands in

  // Cheap to call often: asks for notes (most important first) and draws at most five times a
  // second on a terminal, and without one at every tenth part of the total and every minute.
  void update(std::int64_t done, const Notes& notes = nullptr);

  // A line of its own, above the bar.
  void say(const std::string& line) const;

 private:
  using Clock = std::chrono::steady_clock;
  bool due(std::int64_t done, Clock::time_point now) const;
  void draw() const;

  bool terminal_;
  ProgressMoment moment_;  // as last drawn
  bool drawn_ = false;
  std::int64_t next_tenth_ = 1;
  std::int64_t first_done_ = -1;  // of the first update, at start_; -1: there was none
  Clock::time_point start_;
  Clock::time_point last_;
};

}  // namespace seqrank
