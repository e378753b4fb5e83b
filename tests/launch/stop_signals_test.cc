// The first signal is remembered, the second leaves at once. In child processes: handlers are
// process-wide.
#include "launch/stop_signals.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <ctime>
#include <thread>

#include "collective/communicator.h"
#include "launch/peers.h"
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
  ::usleep(1'100'000);
  send(SIGINT);
  while (true) ::pause();
}

// One wish that arrives through the launcher and through the batch system.
void exit_zero_after_a_burst() {
  install_stop_handlers();
  for (int i = 0; i < 3; ++i) {
    send(SIGUSR1);
    wait_for_signal();
    ::usleep(50'000);
  }
  std::_Exit(0);
}

// A call that began a while ago and does not end, and a longest call before it of `longest`. Ends
// with 0 after `at_most`.
void term_with_a_running_call(std::chrono::nanoseconds longest, std::chrono::seconds at_most) {
  auto clock = std::make_shared<CallClock>();
  clock->running_since_ns = std::chrono::steady_clock::now().time_since_epoch().count();
  clock->longest_ns = longest.count();
  watch_ranks(clock, {});
  install_stop_handlers();
  send(SIGTERM);
  std::this_thread::sleep_for(at_most);
  std::_Exit(0);
}

void term_when_a_rank_is_gone() {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);  // never waited for
  const std::vector<LocalPeers::Peer> peers = {{1, ::getpid()}, {3, child}};
  watch_ranks(nullptr, std::make_shared<LocalPeers>(0, "here", peers));
  install_stop_handlers();
  send(SIGTERM);
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
  EXPECT_EXIT(exit_zero_after_a_burst(), ::testing::ExitedWithCode(0), "");
  EXPECT_EXIT(send_after_restore(), ::testing::KilledBySignal(SIGTERM), "");
  EXPECT_EXIT(exit_zero_when_blocked(), ::testing::ExitedWithCode(0), "");
}

TEST(StopSignalsDeathTest, TermLeavesWhenNothingMoves) {
  using namespace std::chrono_literals;
  EXPECT_EXIT(term_with_a_running_call(1ms, 60s), ::testing::ExitedWithCode(75),
              "no rank has moved for [1-9]");
  // A call as long has been seen before: it may yet come.
  EXPECT_EXIT(term_with_a_running_call(5s, 2s), ::testing::ExitedWithCode(0), "");
}

TEST(StopSignalsDeathTest, TermLeavesWhenARankIsGone) {
  EXPECT_EXIT(term_when_a_rank_is_gone(), ::testing::ExitedWithCode(5),
              "rank 3 \\(process [0-9]+ on here\\) is gone");
}

TEST(StopSource, KnowsTheEndOfTheTime) {
  const std::int64_t now = std::time(nullptr);
  EXPECT_NEAR(stop_source(stop_at(now + 1000)).seconds_left(), 1000, 30);
  EXPECT_LT(stop_source(stop_at(1)).seconds_left(), 0);
  EXPECT_EQ(stop_source(stop_at(1)).margin, 120);
  ::unsetenv("SLURM_JOB_END_TIME");
  EXPECT_TRUE(std::isinf(stop_source(Options(stop_options())).seconds_left()));
  ::setenv("SLURM_JOB_END_TIME", std::to_string(now + 500).c_str(), 1);
  EXPECT_NEAR(stop_source(Options(stop_options())).seconds_left(), 500, 30);
  ::unsetenv("SLURM_JOB_END_TIME");
}

}  // namespace
}  // namespace seqrank
