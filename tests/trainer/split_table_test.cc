// Tables whose rows are dealt out to ranks: the same losses as where every rank holds all rows, for
// every loss and any groups; what is saved is read by any others.
#include <filesystem>
#include <numeric>

#include "tests/trainer/train_support.h"
#include "trainer/load_model.h"
#include "trainer/table_groups.h"

namespace seqrank {
namespace {

struct World {
  int ranks;
  const char* group;
};

class SplitTable : public Train {
 protected:
  std::vector<double> losses_of(const std::string& name, const World& world, Settings settings) {
    settings.insert({{"table.split", "yes"}, {"table.group", world.group}});
    run(world.ranks, name, settings);
    return losses(name);
  }
  // The same events with times, a second apart.
  std::string timed_data() const {
    const Dataset from = Dataset::open(data_);
    const std::string path = temp_.path() + "/timed.h5";
    DatasetWriter writer(path);
    for (std::int64_t s = 0; s < from.sequences(); ++s) {
      std::vector<std::int32_t> items(from.length(s));
      std::vector<std::int64_t> times(items.size());
      from.read_items(from.begin(s), items);
      std::iota(times.begin(), times.end(), s % 5);
      writer.add_sequence(items, times);
    }
    writer.finish(from.items());
    return path;
  }

  void expect_same(const std::vector<double>& one, const std::vector<double>& other,
                   const std::string& of) {
    ASSERT_EQ(one.size(), other.size()) << of;
    for (std::size_t i = 0; i < one.size(); ++i)
      ASSERT_NEAR(other[i] / one[i], 1, 1e-5) << of << ", step " << i + 1;
  }
};

// 60 items and, with a mask, 61: neither 7 nor 4 ranks share them equally.
constexpr World kWorlds[] = {{2, "1"}, {2, "all"}, {4, "2"}, {4, "all"}, {7, "1"}, {7, "node"}};

class SplitTableLoss : public SplitTable, public testing::WithParamInterface<Settings> {};

TEST_P(SplitTableLoss, IsThatOfOneRankForAnyGroups) {
  Settings settings = GetParam();
  settings.insert({"train.steps", "100"});
  const std::vector<double> one = losses_of("one", {1, "all"}, settings);
  ASSERT_EQ(one.size(), 100u);
  for (const World& world : kWorlds) {
    const std::string name = std::to_string(world.ranks) + world.group;
    expect_same(one, losses_of(name, world, settings), name);
  }
}

Settings loss(const std::string& kind, Settings settings = {}) {
  settings.insert({{"loss.kind", kind}, {"loss.negatives", "20"}});
  return settings;
}

INSTANTIATE_TEST_SUITE_P(
    Each, SplitTableLoss,
    testing::Values(Settings{}, Settings{{"model.tied", "no"}, {"model.label_smoothing", "0.1"}},
                    Settings{{"model.score", "cosine"}, {"model.temperature", "0.2"}},
                    Settings{{"model.name", "bert4rec"}, {"train.batch", "3"}},
                    Settings{{"model.name", "gru4rec"}, {"train.batch", "5"}},
                    loss("sampled_softmax",
                         {{"loss.sampler", "in_batch"}, {"loss.own_items", "no"}}),
                    loss("sampled_softmax", {{"loss.sampler", "frequency"}}), loss("bce"),
                    loss("gbce", {{"model.name", "sasrec"}}), loss("bpr", {{"model.tied", "no"}}),
                    loss("bpr_max", {{"model.score", "cosine"}}), loss("top1"),
                    loss("top1_max", {{"train.batch", "3"}, {"model.name", "gru4rec"}})));

const Settings kSoftmax = {{"train.steps", "60"}};

TEST_F(SplitTable, ResumesInOtherGroupsAndReplicated) {
  const std::vector<double> whole = losses_of("whole", {1, "all"}, kSoftmax);
  Settings settings = kSoftmax;
  const auto go_on = [&](const World& world, const char* until, const char* split) {
    settings["train.stop_at_step"] = until;
    settings["table.split"] = split;
    return losses_of("parts", world, settings);
  };
  go_on({4, "2"}, "10", "yes");
  go_on({7, "all"}, "20", "yes");
  go_on({3, "all"}, "30", "no");
  go_on({2, "all"}, "40", "yes");
  go_on({1, "all"}, "50", "yes");
  expect_same(whole, go_on({6, "3"}, "0", "yes"), "parts");
}

// The same weights, so the same ranks; with vectors of zeros all items are ties of each other.
TEST_F(SplitTable, RanksAndTiesAreThoseOfWholeTables) {
  const Dataset dataset = Dataset::open(data_);
  for (const char* scale : {"0.5", "0"}) {
    Settings settings = {{"model.item_scale", scale}, {"table.split", "yes"}};
    const auto answer = [&](Communicator& comm, const Options& given) {
      Context ctx(Device::cpu, 1);
      TrainingParts parts(ctx, comm, dataset, given);
      return *evaluate_unless(
          ctx, comm, *parts.model, parts.protocol, evaluate_options_from(given, Split::test),
          [] { return false; }, parts.exchange.get());
    };
    const Evaluation one = answer(*make_null_communicator(), options("one", settings));
    EXPECT_EQ(one.ties > 0, std::string(scale) == "0");
    for (const World& world : kWorlds) {
      settings["table.group"] = world.group;
      const Options given = options("other", settings);
      with_ranks(world.ranks, [&](Communicator& comm) {
        const Evaluation there = answer(comm, given);
        EXPECT_EQ(there.rank_Q, one.rank_Q) << world.ranks << " in groups of " << world.group;
        EXPECT_EQ(there.ties, one.ties);
      });
    }
  }
}

// A run of whole tables is read as split ones, and the other way round.
TEST_F(SplitTable, ARunIsReadInAnyGroups) {
  Settings settings = kSoftmax;
  const Dataset dataset = Dataset::open(data_);
  for (const char* trained : {"yes", "no"}) {
    settings["table.split"] = trained;
    losses_of(trained, {4, "2"}, settings);
    const auto answer = [&](Communicator& comm, const Settings& how) {
      Context ctx(Device::cpu, 1);
      const auto loaded = load_model(ctx, comm, temp_.path() + "/" + trained, "", dataset, how,
                                     [](const std::string&) {});
      EXPECT_EQ(static_cast<bool>(loaded->exchange), how.at("table.split") == "yes");
      const Protocol protocol(dataset, protocol_options_from(loaded->options));
      return evaluate(ctx, comm, *loaded->model, protocol,
                      evaluate_options_from(loaded->options, Split::test), loaded->exchange.get());
    };
    const Evaluation one = answer(*make_null_communicator(), {{"table.split", "no"}});
    for (const World& world : {World{3, "all"}, World{6, "3"}})
      with_ranks(world.ranks, [&](Communicator& comm) {
        const Evaluation there =
            answer(comm, {{"table.split", "yes"}, {"table.group", world.group}});
        EXPECT_EQ(there.rank_Q, one.rank_Q) << world.ranks << " in groups of " << world.group;
      });
  }
}

// Under temporal also lists of the best items, merged.
TEST_F(SplitTable, IsEvaluatedAsWholeTablesAre) {
  const auto evaluations = [&](const std::string& name) {
    std::vector<nlohmann::json> found;
    std::istringstream text(read_file(temp_.path() + "/" + name + "/metrics.jsonl"));
    for (std::string line; std::getline(text, line);)
      if (const auto json = nlohmann::json::parse(line); json.contains("metrics"))
        found.push_back(json["metrics"]);
    return found;
  };
  for (const Settings& form : {Settings{{"data", timed_data()},
                                        {"data.protocol", "temporal"},
                                        {"data.validation_from", "6"},
                                        {"data.test_from", "12"}},
                               Settings{{"model.name", "bert4rec"}},
                               Settings{{"model.score", "cosine"}, {"evaluate.seen", "kept"}},
                               loss("bce", {{"model.tied", "no"}, {"model.name", "gru4rec"}})}) {
    Settings settings = form;
    settings.insert({{"train.evaluate_every", "1"}, {"train.epochs", "2"}});
    losses_of("one", {1, "all"}, settings);
    const auto one = evaluations("one");
    ASSERT_EQ(one.size(), 2u);
    for (const World& world : kWorlds) {
      const std::string name = std::to_string(world.ranks) + world.group;
      losses_of(name, world, settings);
      const auto there = evaluations(name);
      ASSERT_EQ(there.size(), 2u);
      for (std::size_t i = 0; i < one.size(); ++i)
        for (const auto& [metric, value] : one[i].items())
          EXPECT_NEAR(there[i][metric].get<double>(), value.get<double>(), 2e-3)
              << name << " " << metric;
      std::filesystem::remove_all(temp_.path() + "/" + name);
    }
    std::filesystem::remove_all(temp_.path() + "/one");
  }
}

TEST_F(SplitTable, StoppedAndResumedIsBitwiseTheUninterruptedRun) {
  Settings settings = kSoftmax;
  const auto whole = losses_of("whole", {4, "2"}, settings);
  settings["train.stop_at_step"] = "25";
  losses_of("parts", {4, "2"}, settings);
  EXPECT_EQ(losses_of("parts", {4, "2"}, kSoftmax), whole);
  EXPECT_EQ(state("parts", 60), state("whole", 60));
}

// Of a rank the table, its gradient and both moments.
TEST_F(SplitTable, TakesItsShareOfMemory) {
  Settings settings = kSoftmax;
  settings.insert({{"table.split", "yes"}, {"table.group", "all"}});
  const Options given = options("memory", settings);
  const Dataset dataset = Dataset::open(data_);
  with_ranks(4, [&](Communicator& comm) {
    Context ctx(Device::cpu, 1);
    TrainingParts parts(ctx, comm, dataset, given);
    for (const Parameter& p : parts.parameters.parameters()) {
      if (!p.may_split) continue;
      EXPECT_EQ(p.extent, 15 * 8);
      EXPECT_EQ(p.local_value().shape(), (Shape{15, 8}));
      EXPECT_EQ(p.gradient.shape(), (Shape{15, 8}));
    }
    for (const DealtRows& rows : parts.optimiser->dealt_rows())
      EXPECT_EQ(rows.row_KD.shape(), (Shape{15, 8}));
  });
}

TEST_F(SplitTable, GroupsThatCannotBeEqualAreRefused) {
  const auto message = [](int ranks, const std::string& how) -> std::string {
    std::string text;
    with_ranks(ranks, [&](Communicator& comm) {
      try {
        TableGroups(comm, how);
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::usage);
        if (comm.rank() == 0) text = error.what();
      }
    });
    return text;
  };
  EXPECT_THAT(message(7, "2"), testing::HasSubstr("7 ranks make groups of 2 and of 1"));
  EXPECT_THAT(message(2, "some"), testing::HasSubstr("--table.group=some"));
  EXPECT_THAT(message(2, "0"), testing::HasSubstr("--table.group=0"));
  EXPECT_EQ(message(2, "5"), "");  // all of them
  EXPECT_EQ(message(6, "3"), "");
}

}  // namespace
}  // namespace seqrank
