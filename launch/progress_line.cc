// Parts of a line stand in a fixed order and leave it in another, that of their importance.
#include "launch/progress_line.h"

#include <fmt/format.h>

#include <algorithm>

#include "launch/table.h"

namespace seqrank {
namespace {

constexpr std::size_t kBarWidth = 24;
constexpr std::size_t kShortBarWidth = 10;

enum Importance { kLongBar, kLesserNote, kCount, kTitle, kShortBar, kNote, kTimeLeft, kShare };

struct Part {
  std::string text;
  int importance;
};

std::string time_words(double seconds) {
  const auto whole = static_cast<std::int64_t>(seconds + 0.5);
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{}:{:02} min", whole / 60, whole % 60);
  return fmt::format("{}:{:02} h", whole / 3600, whole / 60 % 60);
}

double share(const ProgressMoment& now) {
  return std::clamp(static_cast<double>(now.done) / static_cast<double>(now.total), 0.0, 1.0);
}

std::string bar(const ProgressMoment& now, std::size_t width) {
  const auto filled = static_cast<std::size_t>(share(now) * static_cast<double>(width));
  return "[" + std::string(filled, '#') + std::string(width - filled, '.') + "]";
}

std::string count(const ProgressMoment& now) {
  std::string text = with_commas(now.done);
  if (now.total > 0) text += " of " + with_commas(now.total);
  if (!now.unit.empty()) text += " " + now.unit;
  return text;
}

std::vector<Part> parts_of(const ProgressMoment& now) {
  std::vector<Part> parts = {{now.title, kTitle}};
  if (now.total > 0)
    parts.push_back({fmt::format("{:3} %", static_cast<int>(100 * share(now))), kShare});
  parts.push_back({count(now), kCount});
  if (now.seconds_left >= 0 && now.done < now.total)
    parts.push_back({time_words(now.seconds_left) + " left", kTimeLeft});
  for (std::size_t i = 0; i < now.notes.size(); ++i)
    parts.push_back({now.notes[i], i < 2 ? kNote : kLesserNote});
  return parts;
}

std::string joined(const std::vector<Part>& parts) {
  std::string line;
  for (const Part& part : parts) line += (line.empty() ? "" : "  ") + part.text;
  return line;
}

}  // namespace

std::string progress_line(const ProgressMoment& now) {
  return joined(parts_of(now));
}

std::string progress_bar(const ProgressMoment& now, std::size_t columns) {
  std::vector<Part> parts = parts_of(now);
  if (now.total > 0) parts.insert(parts.begin() + 1, {bar(now, kBarWidth), kLongBar});
  while (parts.size() > 1 && joined(parts).size() > columns) {
    // Of equals the last: notes stand most important first.
    const auto least = std::min_element(
        parts.rbegin(), parts.rend(), [](auto& a, auto& b) { return a.importance < b.importance; });
    if (least->importance == kLongBar) {
      *least = {bar(now, kShortBarWidth), kShortBar};
    } else {
      parts.erase(std::next(least).base());
    }
  }
  return joined(parts).substr(0, columns);
}

}  // namespace seqrank
