// What is planned against what is taken: peaks by tag of runs of every model, on one rank and on
// three, with tables whole and split.
#include "trainer/memory_plan.h"

#include <numeric>

#include "tests/support/op_case.h"
#include "tests/trainer/train_support.h"
#include "tests/trainer/trained_models.h"
#include "trainer/peak_memory.h"

namespace seqrank {
namespace {

class MemoryPlans : public Train {
 protected:
  // Planned over taken.
  double ratio(int ranks, const std::string& name, Settings settings, Device device = Device::cpu) {
    settings["train.epochs"] = "1";
    if (!settings.contains("train.evaluate_every")) settings["train.evaluate_every"] = "1";
    const Options given = options(name, settings);
    const Dataset dataset = Dataset::open(given.text("data"));
    const MemoryPlan plan = plan_memory(dataset, given, {ranks, 1, device});
    const TrainResult taken =
        device == Device::cpu ? run(ranks, name, settings) : run_on_device(ranks, name, settings);
    EXPECT_EQ(plan.checkpoint_bytes, taken.checkpoint_bytes) << name;
    std::int64_t sum = device == Device::cpu ? taken.checkpoint_bytes : 0;
    for (int tag = 0; tag < kTags; ++tag) {
      sum += taken.peak_bytes[tag];
      if (tag > static_cast<int>(Tag::optimiser)) continue;
      EXPECT_EQ(plan.peak_bytes[tag], taken.peak_bytes[tag])
          << name << ", " << tag_name(static_cast<Tag>(tag));
    }
    return static_cast<double>(plan.total()) / static_cast<double>(sum);
  }
};

TEST_F(MemoryPlans, AreWithinATenthOfWhatIsTaken) {
  for (const TrainedModelCase& c : trained_models()) {
    for (const int ranks : {1, 3}) {
      const std::string name = fmt::format("case{}-{}", &c - trained_models().data(), ranks);
      EXPECT_NEAR(ratio(ranks, name, c.settings), 1, 0.1) << testing::PrintToString(c);
    }
  }
}

TEST_F(MemoryPlans, OfADeviceToo) {
  if (const std::string why = why_no_device(Device::cuda); !why.empty()) GTEST_SKIP() << why;
  for (const TrainedModelCase& c : trained_models()) {
    const std::string name = fmt::format("case{}", &c - trained_models().data());
    Settings settings = c.settings;
    settings["model.width"] = "16";  // two heads of 8, which is the least on a device
    EXPECT_NEAR(ratio(1, name, settings, Device::cuda), 1, 0.1) << testing::PrintToString(c);
  }
  const Settings by_rows = {{"table.optimiser", "rowwise_adagrad"},
                            {"table.dtype", "bf16"},
                            {"loss.kind", "sampled_softmax"},
                            {"model.width", "64"}};
  EXPECT_NEAR(ratio(1, "bf16", by_rows, Device::cuda), 1, 0.1);
}

// How many batches lie ahead in a run depends on which is faster, loader or step; a plan counts as
// many as ever do. So here every step waits for them.
TEST_F(MemoryPlans, OfBatchesMadeAhead) {
  const Options given = options("many", {{"loss.kind", "sampled_softmax"},
                                         {"loss.negatives", "50000"},
                                         {"model.width", "2"},
                                         {"train.batch", "2"}});
  const Dataset dataset = Dataset::open(given.text("data"));
  const MemoryPlan plan = plan_memory(dataset, given, {});
  const auto comm = make_null_communicator();
  Context ctx(Device::cpu, 1);
  TrainingParts parts(ctx, *comm, dataset, given);
  for (std::int64_t step = 0; step < 10; ++step) {
    const Batch batch = parts.loader.next();
    parts.loader.fill();
    const Batch next = parts.loader.peek();
    parts.step->run(batch, step, 0, TrainStep::Wish::go_on, &next);
  }
  const BytesByTag peaks = ctx.arena().peak_bytes();
  const std::int64_t taken = std::accumulate(peaks.begin(), peaks.end(), plan.checkpoint_bytes);
  EXPECT_NEAR(static_cast<double>(plan.total()) / static_cast<double>(taken), 1, 0.1)
      << "most of it is drawn negatives";
}

TEST_F(MemoryPlans, OfSplitTablesToo) {
  for (const char* group : {"all", "2"}) {
    const Settings settings = {{"table.split", "yes"},
                               {"table.group", group},
                               {"loss.kind", "sampled_softmax"},
                               {"model.width", "32"},
                               {"train.evaluate_every", "0"}};
    EXPECT_NEAR(ratio(4, std::string("split-") + group, settings), 1, 0.1) << group;
    for (const char* rule : {"rowwise_adagrad", "lazy_adam"}) {
      Settings by_rows = settings;
      by_rows["table.optimiser"] = rule;
      EXPECT_NEAR(ratio(4, std::string(rule) + group, by_rows), 1, 0.1) << rule << group;
      by_rows["table.dtype"] = "bf16";
      EXPECT_NEAR(ratio(4, std::string(rule) + "16" + group, by_rows), 1, 0.1) << rule << group;
    }
    const Settings exact = {{"table.split", "yes"}, {"table.group", group}};
    EXPECT_NEAR(ratio(4, std::string("exact-") + group, exact), 1, 0.1) << group;
  }
}

TEST_F(MemoryPlans, OfTablesTrainedByRows) {
  for (const char* tier : {"memory", "file"})
    for (const char* dtype : {"fp32", "bf16"}) {
      const Settings settings = {{"table.optimiser", "rowwise_adagrad"},
                                 {"table.dtype", dtype},
                                 {"table.tier", tier},
                                 {"loss.kind", "sampled_softmax"},
                                 {"model.width", "64"}};
      const std::string name = std::string(tier) + dtype;
      EXPECT_NEAR(ratio(1, name, settings), 1, 0.1) << name;
    }
}

TEST_F(MemoryPlans, TakeNoMemory) {
  SynthOptions synth_options;
  synth_options.output = temp_.path() + "/large.h5";
  synth_options.items = 2'000'000;
  synth_options.sequences = 50;
  synth_options.length = 12;
  synth(synth_options);
  const Options given = options(
      "large",
      {{"data", synth_options.output}, {"model.width", "256"}, {"loss.kind", "sampled_softmax"}});
  const Dataset dataset = Dataset::open(synth_options.output);
  forget_peak_memory();
  const std::int64_t before = peak_memory_bytes();
  const MemoryPlan plan = plan_memory(dataset, given, {});
  EXPECT_GT(plan.total(), std::int64_t{8} << 30);
  EXPECT_LT(peak_memory_bytes() - before, std::int64_t{1} << 30);
}

}  // namespace
}  // namespace seqrank
