// Time left is a mean since the first update: steadier than the last moment's, and it counts what
// stands between updates, as evaluations do.
#include "launch/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace seqrank {
namespace {

constexpr std::chrono::milliseconds kBetweenBars{200};
constexpr std::chrono::minutes kBetweenLines{1};
constexpr std::size_t kUsualColumns = 80;

// One that understands "erase to the end of the line".
bool is_terminal() {
  const char* kind = std::getenv("TERM");
  return ::isatty(STDERR_FILENO) == 1 && kind != nullptr && std::strcmp(kind, "dumb") != 0;
}

// Asked every time: windows change.
std::size_t columns() {
  winsize size{};
  const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : kUsualColumns;
}

}  // namespace

Progress::Progress(const std::string& title, const std::string& unit, std::int64_t total)
    : terminal_(is_terminal()), start_(Clock::now()), last_(start_) {
  moment_.title = title;
  moment_.unit = unit;
  moment_.total = total;
}

Progress::~Progress() {
  if (terminal_ && drawn_) std::fputs("\n", stderr);
}

bool Progress::due(std::int64_t done, Clock::time_point now) const {
  const std::int64_t total = moment_.total;
  if (terminal_) return !drawn_ || now - last_ >= kBetweenBars || (total > 0 && done >= total);
  return now - last_ >= kBetweenLines || (total > 0 && done * 10 >= total * next_tenth_);
}

void Progress::update(std::int64_t done, const Notes& notes) {
  const auto now = Clock::now();
  if (first_done_ < 0) {
    first_done_ = done;
    start_ = now;
  }
  if (!due(done, now)) return;
  last_ = now;
  moment_.done = done;
  if (moment_.total > 0) next_tenth_ = done * 10 / moment_.total + 1;
  const double seconds = std::chrono::duration<double>(now - start_).count();
  if (seconds >= 1 && done > first_done_)
    moment_.seconds_left = seconds * static_cast<double>(moment_.total - done) /
                           static_cast<double>(done - first_done_);
  if (notes) moment_.notes = notes();
  drawn_ = true;
  draw();
}

void Progress::say(const std::string& line) const {
  std::fputs((terminal_ ? "\r\x1b[K" + line + "\n" : line + "\n").c_str(), stderr);
  if (terminal_ && drawn_) draw();
  std::fflush(stderr);
}

void Progress::draw() const {
  // The last column stays free: a full line would wrap. \r and "erase to the end of the line" only
  // ever reach a terminal.
  const std::string line = terminal_ ? "\r" + progress_bar(moment_, columns() - 1) + "\x1b[K"
                                     : progress_line(moment_) + "\n";
  std::fputs(line.c_str(), stderr);
  std::fflush(stderr);
}

}  // namespace seqrank
