// The first signal is remembered, the second leaves at once. In child processes: handlers are
// process-wide.
#include "launch/stop_signals.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>

#include "launch/stop_request.h"

namespace seqrank {
namespace {

Options stop_at(std::int64_t seconds) {
  Options options(stop_options());
  options.set("stop-at", std::to_string(seconds), "test");
  return options;
}

// Signals go to the process, as `kill` sends them; another thread takes them a moment later.
void send(int signal) {
  ::kill(::getpid(), signal);
}

void wait_for_signal() {
  while (stop_signal() == 0) ::usleep(1000);
}

void exit_with_first_signal() {
  install_stop_handlers();
  if (stop_signal() != 0) std::_Exit(1);
  send(SIGTERM);
  wait_for_signal();
  std::_Exit(stop_signal());
}

void send_twice() {
  install_stop_handlers();
  send(SIGUSR1);
  wait_for_signal();
  send(SIGINT);
  while (true) ::pause();
}

void send_after_restore() {
  install_stop_handlers();
  restore_default_stop();
  send(SIGTERM);
  while (true) ::pause();
}

// A handler on the computing thread's stack breaks oneDNN: this thread must not be able to run one.
void exit_zero_when_blocked() {
  install_stop_handlers();
  sigset_t blocked;
  ::pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
  bool all = true;
  for (const int signal : {SIGUSR1, SIGTERM, SIGINT}) all = all && ::sigismember(&blocked, signal);
  std::_Exit(all ? 0 : 1);
}

TEST(StopSignalsDeathTest, FirstIsRememberedSecondLeaves) {
  EXPECT_EXIT(exit_with_first_signal(), ::testing::ExitedWithCode(SIGTERM), "");
  EXPECT_EXIT(send_twice(), ::testing::ExitedWithCode(75), "");
  EXPECT_EXIT(send_after_restore(), ::testing::KilledBySignal(SIGTERM), "");
  EXPECT_EXIT(exit_zero_when_blocked(), ::testing::ExitedWithCode(0), "");
}

TEST(StopRequest, AsksTheMarginBeforeTheEnd) {
  const std::int64_t now = std::time(nullptr);
  EXPECT_FALSE(StopRequest(stop_at(now + 100000)).asked());
  EXPECT_TRUE(StopRequest(stop_at(now + 60)).asked());  // inside the default margin of 120 s
  EXPECT_TRUE(StopRequest(stop_at(1)).asked());
}

}  // namespace
}  // namespace seqrank
