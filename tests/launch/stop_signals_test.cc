// The first signal is remembered, the second leaves at once. In child processes: handlers are
// process-wide.
#include "launch/stop_signals.h"

#include <gtest/gtest.h>
#include <signal.h>

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

void exit_with_first_signal() {
  install_stop_handlers();
  if (stop_signal() != 0) std::_Exit(1);
  ::raise(SIGTERM);
  std::_Exit(stop_signal());
}

void raise_twice() {
  install_stop_handlers();
  ::raise(SIGUSR1);
  ::raise(SIGINT);
  std::_Exit(1);  // not reached
}

void raise_after_restore() {
  install_stop_handlers();
  restore_default_stop();
  ::raise(SIGTERM);
}

TEST(StopSignalsDeathTest, FirstIsRememberedSecondLeaves) {
  EXPECT_EXIT(exit_with_first_signal(), ::testing::ExitedWithCode(SIGTERM), "");
  EXPECT_EXIT(raise_twice(), ::testing::ExitedWithCode(75), "");
  EXPECT_EXIT(raise_after_restore(), ::testing::KilledBySignal(SIGTERM), "");
}

TEST(StopRequest, AsksTheMarginBeforeTheEnd) {
  const std::int64_t now = std::time(nullptr);
  EXPECT_FALSE(StopRequest(stop_at(now + 100000)).asked());
  EXPECT_TRUE(StopRequest(stop_at(now + 60)).asked());  // inside the default margin of 120 s
  EXPECT_TRUE(StopRequest(stop_at(1)).asked());
}

}  // namespace
}  // namespace seqrank
