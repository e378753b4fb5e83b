// The whole training run on a small synthetic data set: the same loss on any number of ranks, exact
// resume, early stopping. models_test.cc has what is tested of every model.
#include <atomic>
#include <cmath>
#include <deque>

#include "data/dataset_writer.h"
#include "tests/trainer/train_support.h"

namespace seqrank {
namespace {

TEST_F(Train, OneTwoAndFourRanksGiveTheSameLossFor200Steps) {
  for (int ranks : {1, 2, 4}) run(ranks, std::to_string(ranks), {{"train.steps", "200"}});
  const auto one = losses("1");
  ASSERT_EQ(one.size(), 200u);
  EXPECT_LT(one.back(), 0.95 * one.front());
  for (const char* other : {"2", "4"}) {
    const auto losses_there = losses(other);
    ASSERT_EQ(losses_there.size(), one.size());
    for (std::size_t i = 0; i < one.size(); ++i)
      ASSERT_NEAR(losses_there[i] / one[i], 1, 1e-5) << other << " ranks, step " << i + 1;
  }
}

// Seven ranks share three samples a step and tables whose 60 rows they cannot share equally.
TEST_F(Train, RanksWithoutEventsAndAnUntiedTableGiveTheSameLossToo) {
  for (const char* tied : {"yes", "no"}) {
    for (int ranks : {1, 7})
      run(ranks, tied + std::to_string(ranks),
          {{"train.steps", "40"}, {"train.batch", "3"}, {"model.tied", tied}});
    const auto one = losses(tied + std::string("1")), seven = losses(tied + std::string("7"));
    ASSERT_EQ(one.size(), seven.size());
    for (std::size_t i = 0; i < one.size(); ++i)
      ASSERT_NEAR(seven[i] / one[i], 1, 1e-5) << "tied " << tied << ", step " << i + 1;
  }
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

TEST_F(Train, StoppedAfterStep100AndResumedIsBitwiseTheUninterruptedRun) {
  for (int ranks : {1, 2}) {
    const std::string r = std::to_string(ranks);
    run(ranks, "whole" + r, {{"train.steps", "200"}});
    const TrainResult stopped =
        run(ranks, "parts" + r, {{"train.steps", "200"}, {"train.stop_at_step", "100"}});
    EXPECT_EQ(stopped.outcome, TrainOutcome::stopped_resumable);
    EXPECT_EQ(stopped.steps, 100);
    const TrainResult resumed = run(ranks, "parts" + r, {{"train.steps", "200"}});
    EXPECT_EQ(resumed.outcome, TrainOutcome::finished);
    EXPECT_TRUE(same_bits(state("whole" + r, 200), state("parts" + r, 200)));
    EXPECT_EQ(losses("whole" + r), losses("parts" + r));  // no step twice, none missing
  }
}

TEST_F(Train, WithAndWithoutOverlapTheSameBits) {
  for (const char* overlap : {"yes", "no"})
    run(3, overlap,
        {{"train.steps", "30"},
         {"train.bucket_bytes", "512"},
         {"train.evaluate_every", "1"},
         {"train.overlap", overlap}});
  EXPECT_TRUE(same_bits(state("yes", 30), state("no", 30)));
  EXPECT_EQ(losses("yes"), losses("no"));
}

TEST_F(Train, KnowingTheNextBatchChangesNoBits) {
  const Options given = options("next", {});
  const Dataset dataset = Dataset::open(data_);
  with_ranks(3, [&](Communicator& comm) {
    std::vector<float> values[2];
    for (const bool known : {false, true}) {
      Context ctx(Device::cpu, 1);
      TrainingParts parts(ctx, comm, dataset, given);
      for (std::int64_t step = 0; step < 20; ++step) {
        const Batch batch = parts.loader.next(), next = parts.loader.peek();
        parts.step->run(batch, step, 1e-2f, TrainStep::Wish::go_on, known ? &next : nullptr);
      }
      parts.exchange->settle();
      const auto all = parts.parameters.values().span<float>();
      values[known].assign(all.begin(), all.end());
    }
    EXPECT_TRUE(same_bits(values[0], values[1]));
  });
}

TEST_F(Train, ResumesOnAnotherNumberOfRanks) {
  run(1, "whole", {{"train.steps", "60"}});
  run(7, "parts", {{"train.steps", "60"}, {"train.stop_at_step", "30"}});
  run(2, "parts", {{"train.steps", "60"}});
  const auto whole = losses("whole"), parts = losses("parts");
  ASSERT_EQ(whole.size(), parts.size());
  for (std::size_t i = 0; i < whole.size(); ++i) EXPECT_NEAR(parts[i] / whole[i], 1, 1e-5);
}

TEST_F(Train, ALastSaveThatFailsIsNoSuccess) {
  const std::string fault = "checkpoint.before_manifest:rank=0:fail";
  run(1, "unsaved", {{"train.steps", "40"}, {"train.stop_at_step", "10"}});
  const std::string stop = temp_.path() + "/unsaved/STOP";
  write_file(stop, "");
  for (const bool by_stop_file : {true, false}) {  // else by finishing
    try {
      run(1, "unsaved", {{"train.steps", "40"}, {"train.fault", fault}});
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.exit_code(), 6);
      EXPECT_NE(std::string(error.what()).find("was not saved"), std::string::npos) << error.what();
    }
    EXPECT_EQ(std::filesystem::remove(stop), by_stop_file);
  }
  EXPECT_EQ(run(1, "unsaved", {{"train.steps", "40"}}).outcome, TrainOutcome::finished);
  EXPECT_EQ(losses("unsaved").size(), 40u);
}

TEST_F(Train, NoCheckpointThatIsGoodIsNoFreshStart) {
  run(2, "damaged", {{"train.steps", "5"}});
  const std::string folder = temp_.path() + "/damaged";
  const std::string manifest = checkpoint_path(folder + "/checkpoints", 5) + "/manifest.json";
  const std::string text = read_file(manifest), metrics = read_file(folder + "/metrics.jsonl");
  write_file(manifest, text.substr(0, text.size() / 2));
  try {
    run(2, "damaged", {{"train.steps", "9"}});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.exit_code(), 6);
    EXPECT_NE(std::string(error.what()).find("remove the folder"), std::string::npos);
  }
  EXPECT_EQ(read_file(folder + "/metrics.jsonl"), metrics);
  std::filesystem::remove(manifest);  // as a kill within the first save leaves it
  EXPECT_EQ(run(2, "damaged", {{"train.steps", "9"}}).outcome, TrainOutcome::finished);
  EXPECT_EQ(losses("damaged").size(), 9u);
}

TEST_F(Train, WithoutValidationTargetsEvaluationIsRefusedBeforeTheFirstStep) {
  DatasetWriter writer(temp_.path() + "/short.h5");
  for (int s = 0; s < 4; ++s) writer.add_sequence(std::vector<std::int32_t>{s, (s + 1) % 4}, {});
  writer.finish(4);
  const Settings settings = {{"data", temp_.path() + "/short.h5"}, {"train.steps", "3"}};
  EXPECT_EQ(run(1, "short", settings).outcome, TrainOutcome::finished);
  Settings evaluated = settings;
  evaluated["train.evaluate_every"] = "1";
  try {
    run(1, "short2", evaluated);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::data);
    EXPECT_NE(std::string(error.what()).find("--train.evaluate_every=0"), std::string::npos);
  }
  EXPECT_FALSE(std::filesystem::exists(temp_.path() + "/short2"));
}

TEST_F(Train, StopsEarlyWithoutGainAndKeepsTheBestCheckpoint) {
  const TrainResult result = run(1, "early",
                                 {{"train.epochs", "40"},
                                  {"train.evaluate_every", "1"},
                                  {"train.patience", "2"},
                                  {"train.learning_rate", "0.1"},
                                  {"train.schedule", "constant"}});
  EXPECT_EQ(result.outcome, TrainOutcome::stopped_early);
  EXPECT_EQ(result.steps, result.best_step + 2 * 15);
  EXPECT_FALSE(state("early", result.best_step).empty());
  EXPECT_EQ(run(1, "early",
                {{"train.epochs", "40"},
                 {"train.evaluate_every", "1"},
                 {"train.patience", "2"},
                 {"train.learning_rate", "0.1"},
                 {"train.schedule", "constant"}})
                .steps,
            result.steps);  // nothing left to do
}

TEST_F(Train, ANonFiniteGradientOfOneRankChangesNoWeightOnAny) {
  const Options given = options("nan", {});
  const Dataset dataset = Dataset::open(data_);
  with_ranks(2, [&](Communicator& comm) {
    Context ctx(Device::cpu, 1);
    TrainingParts parts(ctx, comm, dataset, given);
    parts.step->run(parts.loader.next(), 0, 1e-3f, TrainStep::Wish::go_on);
    EXPECT_TRUE(std::isfinite(parts.step->summary(0).grad_norm));
    parts.exchange->settle();
    const auto values = parts.parameters.values().span<float>();
    const std::vector<float> before(values.begin(), values.end());
    // The first weight, which rank 0 owns, so that the exchange of values heals it.
    if (comm.rank() == 1) values[0] = std::numeric_limits<float>::quiet_NaN();
    parts.step->run(parts.loader.next(), 1, 1e-3f, TrainStep::Wish::go_on);
    EXPECT_FALSE(std::isfinite(parts.step->summary(1).grad_norm));
    parts.exchange->settle();
    EXPECT_TRUE(same_bits(before, {values.begin(), values.end()}));
    parts.step->run(parts.loader.next(), 2, 1e-3f, TrainStep::Wish::go_on);
    EXPECT_TRUE(std::isfinite(parts.step->summary(2).grad_norm));
    EXPECT_FALSE(same_bits(before, {values.begin(), values.end()}));
  });
}

TEST_F(Train, AnotherModelIsRefusedInOneLineOfDifferences) {
  run(1, "one", {{"train.steps", "5"}});
  try {
    run(1, "one", {{"train.steps", "5"}, {"model.width", "16"}});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.exit_code(), 6);
    EXPECT_NE(std::string(error.what()).find("model.width: 8 saved, 16 now; and "),
              std::string::npos)
        << error.what();
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
  }
}

// Which batches are there at once is up to the loader's thread: first more of them at once than it
// ever makes, at each step; then the same steps as it likes.
TEST_F(Train, SteadyStateAllocatesNothing) {
#ifdef SEQRANK_ARENA_PASSES_THROUGH
  GTEST_SKIP() << "the arena of a sanitizer build passes every block through";
#endif
  for (const char* precision : {"fp32", "bf16"}) {
    const auto comm = make_null_communicator();
    Context ctx(Device::cpu, 1);
    const Options given =
        options("steady",
                {{"train.steps", "60"}, {"train.log_every", "60"}, {"train.precision", precision}});
    const Dataset dataset = Dataset::open(data_);
    TrainingParts parts(ctx, *comm, dataset, given);
    const auto steps = [&](std::int64_t from, std::size_t ahead) {
      std::deque<Batch> batches;
      for (std::int64_t s = from; s < 60; ++s) {
        while (batches.size() <= ahead) batches.push_back(parts.loader.next());
        parts.step->run(batches.front(), s, 1e-3f, TrainStep::Wish::go_on, &batches[1]);
        batches.pop_front();
      }
    };
    steps(0, 8);
    parts.loader.seek(0);
    parts.loader.next();  // the thread is done with what it was making
    const std::int64_t before = ctx.arena().device_allocations();
    steps(1, 1);
    EXPECT_EQ(ctx.arena().device_allocations(), before);
  }
}

}  // namespace
}  // namespace seqrank
