// One moment of a long command in words: a plain line, or a bar that fits a terminal's width. Knows
// no terminal and no clock; text is ASCII.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace seqrank {

struct ProgressMoment {
  std::string title;
  std::string unit;  // of what is counted: "steps"; may be ""
  std::int64_t done = 0;
  std::int64_t total = 0;          // 0: unknown
  double seconds_left = -1;        // -1: unknown
  std::vector<std::string> notes;  // most important first
};

// All of it in a line, without line end.
std::string progress_line(const ProgressMoment& now);

// At most `columns` wide, with a bar where the total is known. What does not fit is left out, the
// least important first: a line that wrapped could not be drawn over.
std::string progress_bar(const ProgressMoment& now, std::size_t columns);

}  // namespace seqrank
