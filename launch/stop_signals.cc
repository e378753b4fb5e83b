// A flag and a way out: only what POSIX allows inside a handler. Never on a computing thread: a
// handler that runs on the stack under a matrix product of oneDNN 2.6.3 corrupts the heap (seen
// with 2,000 signals a second, every time; gone when handlers have a stack of their own).
#include "launch/stop_signals.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <thread>

namespace seqrank {
namespace {

constexpr int kStoppedResumable = 75;
constexpr int kStops[] = {SIGUSR1, SIGTERM, SIGINT};

// Process-wide because signals are.
std::atomic<int> received{0};
static_assert(std::atomic<int>::is_always_lock_free, "a handler may not take a lock");

void on_signal(int signal) {
  int none = 0;
  if (!received.compare_exchange_strong(none, signal)) ::_exit(kStoppedResumable);
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
  std::thread([] {
    while (true) ::pause();
  }).detach();  // ends with the process; it holds nothing
  sigset_t stops;
  ::sigemptyset(&stops);
  for (const int signal : kStops) ::sigaddset(&stops, signal);
  ::pthread_sigmask(SIG_BLOCK, &stops, nullptr);
}

int stop_signal() {
  return received.load();
}

void restore_default_stop() {
  for (const int signal : kStops) handle(signal, SIG_DFL);
}

}  // namespace seqrank
