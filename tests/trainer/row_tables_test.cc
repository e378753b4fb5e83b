// Tables trained row by row: the same losses on any ranks and in any groups, what a step does not
// touch stays, and nothing but values is as large as a table.
#include "trainer/row_tables.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "tests/trainer/train_support.h"

namespace seqrank {
namespace {

class RowTablesTest : public Train {
 protected:
  static Settings with(const std::string& rule, Settings settings = {}) {
    settings.insert({{"table.optimiser", rule},
                     {"loss.kind", "sampled_softmax"},
                     {"loss.negatives", "20"},
                     {"train.steps", "60"},
                     {"train.rate_scale", "items*:4"},
                     {"train.weight_decay", "0.1"}});
    return settings;
  }
  std::vector<double> losses_of(const std::string& name, int ranks, const Settings& settings) {
    std::filesystem::remove_all(temp_.path() + "/" + name);
    return go_on(name, ranks, settings);
  }
  std::vector<double> go_on(const std::string& name, int ranks, const Settings& settings) {
    run(ranks, name, settings);
    return losses(name);
  }
  static void expect_same(const std::vector<double>& one, const std::vector<double>& other,
                          const std::string& of) {
    ASSERT_EQ(one.size(), other.size()) << of;
    for (std::size_t i = 0; i < one.size(); ++i)
      ASSERT_NEAR(other[i] / one[i], 1, 1e-5) << of << ", step " << i + 1;
  }
  // Of the table and what is kept of its rows, as TrainingParts has them.
  static std::vector<float> values_of(TrainingParts& parts) {
    std::vector<float> all;
    for (const TensorPiece& piece : parts.optimiser->pieces()) {
      const auto values = piece.data.span<float>();
      if (piece.name.starts_with("items")) all.insert(all.end(), values.begin(), values.end());
    }
    return all;
  }
};

struct Form {
  const char* rule;
  Settings settings;
};
class RowTablesOn : public RowTablesTest, public testing::WithParamInterface<Form> {};

TEST_P(RowTablesOn, AnyRanksAndGroupsHaveTheLossesOfOne) {
  const auto& [rule, given] = GetParam();
  Settings settings = with(rule, given);
  const std::vector<double> one = losses_of("one", 1, settings);
  ASSERT_EQ(one.size(), 60u);
  for (const int ranks : {2, 4, 7})
    expect_same(one, losses_of("whole", ranks, settings), std::to_string(ranks));
  settings["table.split"] = "yes";
  for (const auto& [ranks, group] : {std::pair(2, "all"), {4, "2"}, {7, "all"}}) {
    settings["table.group"] = group;
    expect_same(one, losses_of("split", ranks, settings), std::to_string(ranks) + group);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Each, RowTablesOn,
    testing::Values(Form{"rowwise_adagrad", {}}, Form{"lazy_adam", {}},
                    Form{"rowwise_adagrad", {{"loss.kind", "bpr"}, {"model.tied", "no"}}},
                    Form{"lazy_adam", {{"loss.kind", "gbce"}, {"model.name", "sasrec"}}}));

// The input's own table under the exact softmax, and that of a click-through model.
TEST_F(RowTablesTest, OtherTablesThatAreReadByRowsAreTrainedLikewise) {
  const Settings forms[] = {{{"loss.kind", "softmax"},
                             {"loss.negatives", "256"},
                             {"model.tied", "no"},
                             {"train.rate_scale", "items:4"}},
                            {{"model.name", "din"}, {"model.hidden", "16"}}};
  for (const Settings& form : forms) {
    Settings settings = with("rowwise_adagrad", form);
    if (form.contains("model.name"))
      for (const char* key : {"loss.kind", "loss.negatives"}) settings.erase(key);
    const auto one = losses_of("one", 1, settings);
    EXPECT_LT(one.back(), one.front());
    expect_same(one, losses_of("three", 3, settings), form.begin()->second);
  }
}

TEST_F(RowTablesTest, ATableWithoutRowsAloneIsRefused) {
  Settings settings = {{"table.optimiser", "lazy_adam"}};
  try {
    run(1, "none", settings);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_THAT(error.what(), testing::HasSubstr("read by rows alone"));
  }
}

// Where every step touches all rows.
TEST_F(RowTablesTest, LazyAdamOfAllRowsIsAdamW) {
  const Settings all = {{"loss.sampler", "distinct"}, {"loss.negatives", "60"}};
  expect_same(losses_of("adamw", 2, with("adamw", all)),
              losses_of("lazy", 2, with("lazy_adam", all)), "lazy_adam");
}

// The norm that is clipped has the rows' gradients, too.
TEST_F(RowTablesTest, TheFirstGradientNormIsThatOfDenseGradients) {
  for (const char* rule : {"adamw", "lazy_adam", "rowwise_adagrad"}) run(3, rule, with(rule));
  const double dense = lines("adamw")[0]["grad_norm"];
  EXPECT_NEAR(lines("lazy_adam")[0]["grad_norm"].get<double>() / dense, 1, 1e-6);
  EXPECT_NEAR(lines("rowwise_adagrad")[0]["grad_norm"].get<double>() / dense, 1, 1e-6);
}

TEST_F(RowTablesTest, ResumesBitwiseAndInOtherGroups) {
  for (const char* rule : {"rowwise_adagrad", "lazy_adam"}) {
    Settings settings = with(rule, {{"table.split", "yes"}, {"table.group", "2"}});
    const auto whole = losses_of("whole", 4, settings);
    const auto stop = [&](const char* at, const char* split, const char* group) {
      Settings stopped = settings;
      stopped["train.stop_at_step"] = at;
      stopped["table.split"] = split;
      stopped["table.group"] = group;
      return stopped;
    };
    losses_of("parts", 4, stop("25", "yes", "2"));
    EXPECT_EQ(go_on("parts", 4, settings), whole) << rule;
    EXPECT_EQ(state("parts", 60), state("whole", 60)) << rule;
    losses_of("others", 7, stop("20", "yes", "all"));
    go_on("others", 3, stop("40", "no", "node"));
    expect_same(whole, go_on("others", 1, settings), rule);
  }
}

TEST_F(RowTablesTest, AnotherRuleIsAnotherRun) {
  losses_of("rule", 1, with("lazy_adam", {{"train.stop_at_step", "3"}}));
  EXPECT_THROW(go_on("rule", 1, with("rowwise_adagrad")), Error);
}

TEST_F(RowTablesTest, ASkippedStepChangesNothing) {
  const Dataset dataset = Dataset::open(data_);
  for (const char* rule : {"rowwise_adagrad", "lazy_adam"}) {
    const Options given = options("nan", with(rule, {{"train.loss_scale", "1024"}}));
    with_ranks(2, [&](Communicator& comm) {
      Context ctx(Device::cpu, 1);
      TrainingParts parts(ctx, comm, dataset, given);
      parts.step->run(parts.loader.next(), 0, 1e-3f, TrainStep::Wish::go_on);
      EXPECT_TRUE(std::isfinite(parts.step->summary(0).grad_norm));
      const std::vector<float> before = values_of(parts);
      parts.exchange->settle();
      if (comm.rank() == 1) parts.parameters.values().span<float>()[0] = NAN;
      parts.step->run(parts.loader.next(), 1, 1e-3f, TrainStep::Wish::go_on);
      EXPECT_FALSE(std::isfinite(parts.step->summary(1).grad_norm));
      EXPECT_EQ(values_of(parts), before);
      parts.step->run(parts.loader.next(), 2, 1e-3f, TrainStep::Wish::go_on);
      EXPECT_NE(values_of(parts), before);
    });
  }
}

// Both a power of two, so that it changes no digit.
TEST_F(RowTablesTest, ALossScaleChangesNoDigit) {
  const auto without = losses_of("without", 2, with("rowwise_adagrad"));
  EXPECT_EQ(losses_of("scaled", 2, with("rowwise_adagrad", {{"train.loss_scale", "4096"}})),
            without);
}

TEST_F(RowTablesTest, FrozenTablesStayAndKeepNoState) {
  Settings settings = with("lazy_adam", {{"train.freeze", "items"}, {"model.tied", "no"}});
  settings["train.rate_scale"] = "items_out:4";
  const Dataset dataset = Dataset::open(data_);
  const Options given = options("frozen", settings);
  Context ctx(Device::cpu, 1);
  const auto comm = make_null_communicator();
  TrainingParts parts(ctx, *comm, dataset, given);
  std::map<std::string, std::vector<float>> before;
  for (const TensorPiece& piece : parts.optimiser->pieces()) {
    const auto values = piece.data.span<float>();
    before[piece.name].assign(values.begin(), values.end());
  }
  EXPECT_FALSE(before.contains("items/m"));
  EXPECT_TRUE(before.contains("items_out/updates"));
  for (std::int64_t step = 0; step < 3; ++step)
    parts.step->run(parts.loader.next(), step, 1e-2f, TrainStep::Wish::go_on);
  for (const TensorPiece& piece : parts.optimiser->pieces()) {
    const auto values = piece.data.span<float>();
    const bool same = std::ranges::equal(before[piece.name], values);
    EXPECT_EQ(same, piece.name == "items/weight") << piece.name;
  }
}

// One step of a few sequences leaves most of 60 items as they were.
TEST_F(RowTablesTest, RowsThatAStepDoesNotTouchAreLeftAlone) {
  const Dataset dataset = Dataset::open(data_);
  const Options given =
      options("few", with("rowwise_adagrad", {{"train.batch", "1"}, {"loss.negatives", "3"}}));
  Context ctx(Device::cpu, 1);
  const auto comm = make_null_communicator();
  TrainingParts parts(ctx, *comm, dataset, given);
  const std::vector<float> before = values_of(parts);
  const Batch batch = parts.loader.next();
  parts.step->run(batch, 0, 1e-2f, TrainStep::Wish::go_on);
  const std::vector<float> after = values_of(parts);
  const auto touched = batch.item_rows.id_U.span<std::int32_t>();
  ASSERT_LT(touched.size(), 30u);
  for (std::size_t row = 0; row < 60; ++row) {
    const bool same = std::equal(before.begin() + row * 8, before.begin() + (row + 1) * 8,
                                 after.begin() + row * 8);
    EXPECT_EQ(same, !std::ranges::binary_search(touched, static_cast<std::int32_t>(row))) << row;
  }
}

// Of values alone; one number a row is kept.
TEST_F(RowTablesTest, NothingButValuesIsAsLargeAsTheTable) {
  SynthOptions large;
  large.output = temp_.path() + "/large.h5";
  large.items = 200'000;
  large.sequences = 20;
  large.length = 6;
  synth(large);
  const std::int64_t table = large.items * 8 * 4;
  const Settings settings = {{"data", large.output}, {"train.steps", "2"}};
  const auto peaks = [&](const char* rule) {
    return run(1, rule, with(rule, settings)).peak_bytes;
  };
  const auto peak = [](const BytesByTag& bytes, Tag tag) { return bytes[static_cast<int>(tag)]; };
  const BytesByTag dense = peaks("adamw"), rows = peaks("rowwise_adagrad");
  EXPECT_GT(peak(dense, Tag::gradient), table);
  EXPECT_GT(peak(dense, Tag::optimiser), 2 * table);
  EXPECT_GT(peak(rows, Tag::parameter), table);
  EXPECT_LT(peak(rows, Tag::gradient), table / 10);
  EXPECT_LT(peak(rows, Tag::optimiser), table / 6);
}

}  // namespace
}  // namespace seqrank
