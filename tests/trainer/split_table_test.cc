// Tables whose rows are dealt out to ranks: the same losses as where every rank holds all rows, for
// every loss and any groups; what is saved is read by any others.
#include "tests/trainer/train_support.h"
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
    testing::Values(loss("sampled_softmax", {{"loss.sampler", "in_batch"}}),
                    loss("sampled_softmax", {{"loss.sampler", "frequency"}}), loss("bce"),
                    loss("gbce", {{"model.name", "sasrec"}}), loss("bpr", {{"model.tied", "no"}}),
                    loss("bpr_max", {{"model.score", "cosine"}}), loss("top1"),
                    loss("top1_max", {{"train.batch", "3"}, {"model.name", "gru4rec"}})));

const Settings kSampled = loss("sampled_softmax", {{"train.steps", "60"}});

TEST_F(SplitTable, ResumesInOtherGroupsAndReplicated) {
  const std::vector<double> whole = losses_of("whole", {1, "all"}, kSampled);
  Settings settings = kSampled;
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

TEST_F(SplitTable, StoppedAndResumedIsBitwiseTheUninterruptedRun) {
  Settings settings = kSampled;
  const auto whole = losses_of("whole", {4, "2"}, settings);
  settings["train.stop_at_step"] = "25";
  losses_of("parts", {4, "2"}, settings);
  EXPECT_EQ(losses_of("parts", {4, "2"}, kSampled), whole);
  EXPECT_EQ(state("parts", 60), state("whole", 60));
}

// Of a rank the table, its gradient and both moments.
TEST_F(SplitTable, TakesItsShareOfMemory) {
  Settings settings = kSampled;
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
