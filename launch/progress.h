// How far a long command has got, on standard error: a bar that redraws itself on a terminal, plain
// lines in a file or a pipe (no control characters there). Never on standard output.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace seqrank {

class Progress {
 public:
  // total = 0: unknown, only the count is shown. `unit`: "lines", "steps"; "": no rate is shown.
  Progress(std::string title, std::string unit, std::int64_t total);
  ~Progress();  // ends the line that a bar stands in

  // Cheap to call often: draws at most five times a second on a terminal, and without one at every
  // tenth part of the total (unknown total: twice a minute).
  void update(std::int64_t done, const std::string& note = "");

  // A line of its own, above the bar.
  void say(const std::string& line);

 private:
  void draw(std::int64_t done, const std::string& note);

  std::string title_;
  std::string unit_;
  std::int64_t total_;
  bool terminal_;
  bool drawn_ = false;
  std::int64_t next_tenth_ = 1;
  std::int64_t first_done_ = -1;  // of the first update, at start_; -1: there was none
  std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point last_;
};

}  // namespace seqrank
