// A flag and a way out: only what POSIX allows inside a handler.
#include "launch/stop_signals.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>

namespace seqrank {
namespace {

constexpr int kStoppedResumable = 75;

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
  for (const int signal : {SIGUSR1, SIGTERM, SIGINT}) handle(signal, on_signal);
}

int stop_signal() {
  return received.load();
}

void restore_default_stop() {
  for (const int signal : {SIGUSR1, SIGTERM, SIGINT}) handle(signal, SIG_DFL);
}

}  // namespace seqrank
