// Rate and time left are means since the first update: steadier than the last moment's.
#include "launch/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "launch/table.h"

namespace seqrank {
namespace {

constexpr int kBarWidth = 24;

std::string time_words(double seconds) {
  const auto whole = static_cast<std::int64_t>(seconds + 0.5);
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{}:{:02} min", whole / 60, whole % 60);
  return fmt::format("{}:{:02} h", whole / 3600, whole / 60 % 60);
}

}  // namespace

Progress::Progress(std::string title, std::string unit, std::int64_t total)
    : title_(std::move(title)),
      unit_(std::move(unit)),
      total_(total),
      terminal_(::isatty(STDERR_FILENO) == 1),
      start_(std::chrono::steady_clock::now()),
      last_(start_) {}

Progress::~Progress() {
  if (terminal_ && drawn_) std::fputs("\n", stderr);
}

void Progress::update(std::int64_t done, const std::string& note) {
  const auto now = std::chrono::steady_clock::now();
  const bool finished = total_ > 0 && done >= total_;
  if (first_done_ < 0) {
    first_done_ = done;
    start_ = now;
  }
  if (terminal_) {
    if (!finished && now - last_ < std::chrono::milliseconds(200)) return;
  } else if (total_ > 0) {
    if (done * 10 < total_ * next_tenth_) return;
    next_tenth_ = done * 10 / total_ + 1;
  } else if (now - last_ < std::chrono::seconds(30)) {
    return;
  }
  last_ = now;
  draw(done, note);
}

void Progress::say(const std::string& line) {
  std::fputs((terminal_ ? "\r\x1b[K" + line + "\n" : line + "\n").c_str(), stderr);
  std::fflush(stderr);
}

void Progress::draw(std::int64_t done, const std::string& note) {
  const double seconds = std::chrono::duration<double>(last_ - start_).count();
  const double rate = seconds >= 1 ? static_cast<double>(done - first_done_) / seconds : 0;
  std::string line = title_ + "  ";
  if (total_ > 0) {
    const double share = std::min(1.0, static_cast<double>(done) / static_cast<double>(total_));
    if (terminal_) {
      const auto filled = static_cast<std::size_t>(share * kBarWidth);
      line += "[" + std::string(filled, '#') + std::string(kBarWidth - filled, '.') + "] ";
    }
    line += fmt::format("{:3.0f} %  {} of {}", 100 * share, with_commas(done), with_commas(total_));
    if (!unit_.empty()) line += " " + unit_;
    if (rate > 0 && done < total_) {
      line += "  " + time_words(static_cast<double>(total_ - done) / rate) + " left";
    }
  } else {
    line += with_commas(done) + " " + unit_;
  }
  if (rate >= 1 && !unit_.empty())
    line += fmt::format("  {}/s", with_commas(static_cast<std::int64_t>(rate)));
  if (!note.empty()) line += "  " + note;
  // \r and "erase to the end of the line" only ever reach a terminal.
  line = terminal_ ? "\r" + line + "\x1b[K" : line + "\n";
  std::fputs(line.c_str(), stderr);
  std::fflush(stderr);
  drawn_ = true;
}

}  // namespace seqrank
