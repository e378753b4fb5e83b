// Stops of a training run: agreed on by all ranks, in time, exact on resume.
#include <atomic>
#include <cmath>

#include "tests/trainer/train_support.h"

namespace seqrank {
namespace {

class Stop : public Train {
 protected:
  // A run on one rank.
  TrainResult run_with(const std::string& name, const Settings& settings, const StopSource& stop,
                       std::string* told = nullptr) {
    const Options given = options(name, settings);
    const auto comm = make_null_communicator();
    Context ctx(Device::cpu, 1);
    TrainObserver observer;
    observer.message = [told](const std::string& line) {
      if (told != nullptr) *told += line + "\n";
    };
    return train(ctx, *comm, Dataset::open(given.text("data")), given, observer, stop);
  }
  std::string metrics(const std::string& name) {
    return read_file(temp_.path() + "/" + name + "/metrics.jsonl");
  }
};

TEST_F(Stop, AWishOfOneRankStopsAllAtTheSameStepWithACheckpoint) {
  const Options given = options("wish", {{"train.steps", "100"}});
  std::atomic<std::int64_t> steps[2];
  with_ranks(2, [&](Communicator& comm) {
    Context ctx(Device::cpu, 1);
    int asked = 0;
    const auto wish = [&] { return comm.rank() == 1 && ++asked == 10; };
    const TrainResult result =
        train(ctx, comm, Dataset::open(given.text("data")), given, {}, StopSource{.asked = wish});
    EXPECT_EQ(result.outcome, TrainOutcome::stopped_resumable);
    steps[comm.rank()] = result.steps;
  });
  EXPECT_EQ(steps[0], steps[1]);
  EXPECT_EQ(steps[0], 10 + TrainStep::kKept - 1);
  EXPECT_FALSE(state("wish", steps[0]).empty());
}

TEST_F(Stop, StopFileStopsAndIsWithdrawn) {
  std::filesystem::create_directories(temp_.path() + "/file");
  write_file(temp_.path() + "/file/STOP", "");
  EXPECT_EQ(run(1, "file", {{"train.steps", "50"}}).outcome, TrainOutcome::stopped_resumable);
  EXPECT_EQ(run(1, "file", {{"train.steps", "50"}}).outcome, TrainOutcome::finished);
}

TEST_F(Stop, AStopFileInTheLastStepsDoesNotStopTheExtendedRun) {
  Options given = options("late", {{"train.steps", "20"}});
  TrainObserver observer;
  observer.progress = [&](const TrainObserver::Progress& progress) {
    if (progress.step == 20) write_file(temp_.path() + "/late/STOP", "");
  };
  const auto comm = make_null_communicator();
  Context ctx(Device::cpu, 1);
  EXPECT_EQ(train(ctx, *comm, Dataset::open(given.text("data")), given, observer, {}).outcome,
            TrainOutcome::finished);
  EXPECT_EQ(run(1, "late", {{"train.steps", "40"}}).outcome, TrainOutcome::finished);
}

// Asked for the n-th time, it says yes from then on.
StopSource after(int asked) {
  auto left = std::make_shared<int>(asked);
  return {.asked = [left] { return --*left < 0; }};
}

// Everything that does not depend on the clock.
std::vector<std::string> timeless(const std::string& metrics) {
  std::vector<std::string> lines;
  std::istringstream text(metrics);
  for (std::string line; std::getline(text, line);) {
    auto json = nlohmann::json::parse(line);
    json.erase("seconds");
    json.erase("events_per_s");
    lines.push_back(json.dump());
  }
  return lines;
}

// Wherever the wish comes, in a step, an evaluation on the way or the last one, the run that is
// resumed until it ends is the run that was never stopped.
TEST_F(Stop, AnywhereAndResumedIsTheUninterruptedRun) {
  const Settings settings = {{"train.epochs", "2"}, {"train.evaluate_every", "1"}};
  const TrainResult whole = run_with("whole", settings, {});
  int put_off = 0;
  for (int asked = 0; asked < 80; asked += 3) {
    const std::string name = "parts" + std::to_string(asked);
    TrainResult result = run_with(name, settings, after(asked));
    if (result.outcome == TrainOutcome::finished) break;
    ASSERT_EQ(result.outcome, TrainOutcome::stopped_resumable);
    ASSERT_EQ(result.saved_step, result.steps);
    const bool at_evaluation = result.steps % (whole.steps / 2) == 0;
    put_off += at_evaluation;
    result = run_with(name, settings, {});
    ASSERT_EQ(result.outcome, TrainOutcome::finished);
    ASSERT_EQ(result.steps, whole.steps);
    EXPECT_EQ(result.best_step, whole.best_step);
    EXPECT_EQ(result.best_value, whole.best_value);
    EXPECT_EQ(timeless(metrics(name)), timeless(metrics("whole"))) << asked;
    // Nothing is left to do or to save, also where only the evaluation was missing.
    EXPECT_EQ(run_with(name, settings, {}).best_value, whole.best_value);
    EXPECT_EQ(timeless(metrics(name)), timeless(metrics("whole"))) << asked;
  }
  EXPECT_GE(put_off, 2) << "no stop came during an evaluation";
}

TEST_F(Stop, BeforeTheEndOfTheTimeSaves) {
  StopSource source;
  int asked = 0;
  source.seconds_left = [&] { return ++asked < 10 ? 1000.0 : 100.0; };
  source.margin = 120;
  const TrainResult result = run_with("time", {{"train.steps", "100"}}, source);
  EXPECT_EQ(result.outcome, TrainOutcome::stopped_resumable);
  EXPECT_LT(result.steps, 30);
  EXPECT_EQ(result.saved_step, result.steps);
}

TEST_F(Stop, NoSaveIsBegunThatCannotFinish) {
  StopSource source;
  bool late = false;
  source.seconds_left = [&] { return late ? 0.01 : 1000.0; };
  source.asked = [&, asked = 0]() mutable { return late = ++asked > 40; };
  std::string told;
  // The first save takes a fifth of a second, so the second would not finish in a hundredth.
  const Settings settings = {{"train.steps", "100"},
                             {"train.save_every", "10"},
                             {"train.fault", "checkpoint.after_shard_write:sleep=200"}};
  const TrainResult result = run_with("late", settings, source, &told);
  EXPECT_EQ(result.outcome, TrainOutcome::stopped_resumable);
  EXPECT_GT(result.steps, 40);
  EXPECT_EQ(result.saved_step, 40);
  EXPECT_THAT(told, testing::ContainsRegex(
                        "is not saved: 0 s are left and a save takes about [1-9][0-9]* s"));
  EXPECT_EQ(checkpoint_steps(temp_.path() + "/late/checkpoints").front(), 40);
}

}  // namespace
}  // namespace seqrank
