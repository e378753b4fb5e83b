// What the recorder makes of calls and waits whose order and meaning are known.
#include "trainer/step_trace.h"

#include <gtest/gtest.h>

#include <thread>

#include "backend/context.h"

namespace seqrank {
namespace {

using Time = TraceRecorder::Time;

class StepTraceTest : public testing::Test {
 protected:
  StepTraceTest() : recorder_(profile_) {
    bucket_ = ctx_.empty(DType::f32, {1000}, Tag::workspace);
    small_ = ctx_.empty(DType::f64, {3}, Tag::workspace);
  }

  void begin_step() { begin_.push_back(std::chrono::steady_clock::now()); }
  StepTrace trace(int ranks) {
    begin_step();  // the end of the last
    return recorder_.trace(begin_, ranks);
  }
  Stream& stream() { return recorder_.comm().stream(); }

  // The entries in short: "all_gather 0", "waits 1".
  static std::vector<std::string> words(const StepTrace& trace) {
    std::vector<std::string> words;
    for (const TraceEntry& entry : trace.entries)
      words.push_back((entry.operation.empty() ? "waits" : entry.operation) + " " +
                      std::to_string(entry.call));
    return words;
  }

  Context ctx_{Device::cpu, 1};
  Profile profile_;
  TraceRecorder recorder_;
  Tensor bucket_, small_;
  std::vector<Time> begin_;
};

using Words = std::vector<std::string>;

TEST_F(StepTraceTest, RemembersCallsAndWhatIsWaitedFor) {
  recorder_.comm().all_reduce(small_, Reduce::sum);  // before the first step
  for (int step = 0; step < 3; ++step) {
    begin_step();
    recorder_.comm().reduce_scatter(bucket_, Reduce::sum);
    const Event first = stream().record();
    recorder_.comm().all_reduce(small_, Reduce::sum);
    ctx_.compute().wait(first);
    ctx_.compute().wait(stream().record());
  }
  const StepTrace found = trace(1);
  EXPECT_EQ(words(found), (Words{"reduce_scatter 0", "all_reduce 1", "waits 0", "waits 1"}));
  EXPECT_EQ(found.entries[0].bytes, 4000);
  EXPECT_EQ(found.entries[1].bytes, 24);
  EXPECT_GT(found.seconds, found.entries[3].at);
}

TEST_F(StepTraceTest, CountsCallsOfTheStepBeforeBackwards) {
  Event gathered;
  for (int step = 0; step < 3; ++step) {
    begin_step();
    ctx_.compute().wait(gathered);
    recorder_.comm().reduce_scatter(bucket_, Reduce::sum);
    recorder_.comm().all_gather(bucket_);
    gathered = stream().record();
  }
  EXPECT_EQ(words(trace(1)), (Words{"waits -1", "reduce_scatter 0", "all_gather 1"}));
}

TEST_F(StepTraceTest, TakesThePartOfTheOptimiserThatOtherRanksDo) {
  const auto pass = [](int ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); };
  for (int step = 0; step < 3; ++step) {
    begin_step();
    recorder_.comm().reduce_scatter(bucket_, Reduce::sum);
    pass(20);
    profile_.operators["adamw"].seconds += 0.012;
    profile_.operators["add_squared_norm"].seconds += 0.004;
    profile_.operators["matmul"].seconds += 0.004;
    recorder_.comm().all_gather(bucket_);
  }
  const StepTrace alone = trace(1), shared = recorder_.trace(begin_, 4);
  EXPECT_NEAR(alone.entries[1].at - shared.entries[1].at, 0.016 * 3 / 4, 1e-9);
  EXPECT_NEAR(alone.entries[0].at, shared.entries[0].at, 1e-9);
  EXPECT_GT(alone.seconds, 0.02);
  EXPECT_LT(shared.seconds, alone.seconds);
}

TEST_F(StepTraceTest, LeavesOutStepsThatAskedOtherwise) {
  for (int step = 0; step < 3; ++step) {
    begin_step();
    if (step == 1) recorder_.comm().all_reduce(small_, Reduce::sum);
    recorder_.comm().all_gather(bucket_);
  }
  EXPECT_EQ(words(trace(1)), (Words{"all_gather 0"}));
  EXPECT_TRUE(recorder_.trace({}, 1).entries.empty());
}

}  // namespace
}  // namespace seqrank
