// A flag and a way out: only what POSIX allows inside a handler. Never on a computing thread: a
// handler that runs on the stack under a matrix product of oneDNN 2.6.3 corrupts the heap (seen
// with 2,000 signals a second, every time; gone when handlers have a stack of their own).
#include "launch/stop_signals.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <mutex>
#include <thread>

#include "backend/check.h"
#include "collective/communicator.h"
#include "launch/peers.h"

namespace seqrank {
namespace {

constexpr int kStoppedResumable = 75;
constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kMostPatience = 10 * kSecond;
constexpr int kStops[] = {SIGUSR1, SIGTERM, SIGINT};

// Process-wide because signals are.
std::atomic<int> received{0};
static_assert(std::atomic<int>::is_always_lock_free, "a handler may not take a lock");

std::atomic<std::int64_t> received_ns{0};  // when, by the steady clock
std::mutex watch_mutex;
std::shared_ptr<const CallClock> watched_calls;
std::shared_ptr<const LocalPeers> watched_peers;
std::atomic<bool> hushed{false};

std::int64_t now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);  // which std::chrono::steady_clock is, and handlers may
  return now.tv_sec * kSecond + now.tv_nsec;
}

void on_signal(int signal) {
  int none = 0;
  if (received.compare_exchange_strong(none, signal)) {
    received_ns = now_ns();
  } else if (received_ns != 0 && now_ns() - received_ns > kSecond) {
    ::_exit(kStoppedResumable);
  }
}

// Nanoseconds that the running call has stood still since TERM; 0 where it may yet come.
std::int64_t stuck_ns() {
  const std::int64_t since = watched_calls ? watched_calls->running_since_ns.load() : 0;
  if (since == 0) return 0;
  const std::int64_t stood = now_ns() - std::max(since, received_ns.load());
  const std::int64_t patience =
      std::clamp(2 * watched_calls->longest_ns.load(), kSecond, kMostPatience);
  return stood > patience ? stood : 0;
}

void say(const std::string& why) {
  std::fputs(("seqrank: TERM, and " + why + "; leaving with what was last saved\n").c_str(),
             stderr);
}

// After a while in which the others can look round, too, before this process is the one that is
// gone.
[[noreturn]] void leave_after(const std::string& gone) {
  if (watched_peers->first() && !hushed) say(gone);
  ::usleep(300'000);
  ::_exit(static_cast<int>(ErrorKind::peers));
}

// The life of the thread that takes the signals.
void take_signals() {
  while (true) {
    ::usleep(100'000);  // a signal's handler runs meanwhile
    if (received != SIGTERM) continue;
    std::lock_guard lock(watch_mutex);
    const std::string gone = watched_peers ? watched_peers->gone() : "";
    if (!gone.empty()) leave_after(gone);
    if (const std::int64_t stuck = stuck_ns(); stuck > 0) {
      if (!hushed)
        say(fmt::format("no rank has moved for {:.1f} s", static_cast<double>(stuck) / kSecond));
      ::_exit(kStoppedResumable);
    }
  }
}

void handle(int signal, void (*handler)(int)) {
  struct sigaction action = {};
  action.sa_handler = handler;
  ::sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;  // reading and writing go on as if nothing had come
  ::sigaction(signal, &action, nullptr);
}

}  // namespace

void install_stop_handlers() {
  for (const int signal : kStops) handle(signal, on_signal);
  handle(SIGUSR2, [](int) { hushed = true; });
  std::thread(take_signals).detach();  // ends with the process; it holds nothing
  sigset_t stops;
  ::sigemptyset(&stops);
  for (const int signal : kStops) ::sigaddset(&stops, signal);
  ::sigaddset(&stops, SIGUSR2);
  ::pthread_sigmask(SIG_BLOCK, &stops, nullptr);
}

void watch_ranks(std::shared_ptr<const CallClock> calls, std::shared_ptr<const LocalPeers> peers) {
  std::lock_guard lock(watch_mutex);
  watched_calls = std::move(calls);
  watched_peers = std::move(peers);
}

void hush_peers() {
  std::lock_guard lock(watch_mutex);
  if (watched_peers) watched_peers->hush();
}

int stop_signal() {
  return received.load();
}

void restore_default_stop() {
  for (const int signal : kStops) handle(signal, SIG_DFL);
}

}  // namespace seqrank
