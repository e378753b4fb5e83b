// A flag and a way out: only what POSIX allows inside a handler. Never on a computing thread: a
// handler that runs on the stack under a matrix product of oneDNN 2.6.3 corrupts the heap (seen
// with 2,000 signals a second, every time; gone when handlers have a stack of their own).
#include "launch/stop_signals.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <mutex>
#include <thread>

#include "collective/communicator.h"

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
std::mutex clock_mutex;
std::shared_ptr<const CallClock> call_clock;

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
  std::lock_guard lock(clock_mutex);
  if (call_clock == nullptr || received != SIGTERM) return 0;
  const std::int64_t since = call_clock->running_since_ns;
  if (since == 0) return 0;
  const std::int64_t stood = now_ns() - std::max(since, received_ns.load());
  const std::int64_t patience =
      std::clamp(2 * call_clock->longest_ns.load(), kSecond, kMostPatience);
  return stood > patience ? stood : 0;
}

// The life of the thread that takes the signals.
void take_signals() {
  while (true) {
    ::usleep(100'000);  // a signal's handler runs meanwhile
    if (const std::int64_t stuck = stuck_ns(); stuck > 0) {
      std::fprintf(stderr,
                   "seqrank: TERM, and no rank has moved for %.1f s: leaving with what was "
                   "last saved\n",
                   static_cast<double>(stuck) / kSecond);
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
  std::thread(take_signals).detach();  // ends with the process; it holds nothing
  sigset_t stops;
  ::sigemptyset(&stops);
  for (const int signal : kStops) ::sigaddset(&stops, signal);
  ::pthread_sigmask(SIG_BLOCK, &stops, nullptr);
}

void watch_calls(std::shared_ptr<const CallClock> clock) {
  std::lock_guard lock(clock_mutex);
  call_clock = std::move(clock);
}

int stop_signal() {
  return received.load();
}

void restore_default_stop() {
  for (const int signal : kStops) handle(signal, SIG_DFL);
}

}  // namespace seqrank
