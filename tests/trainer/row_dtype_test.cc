// Tables whose rows are bf16: rounded alike on any ranks, after a resume and in files; saved as
// what they are; and who reads them is given fp32.
#include <algorithm>
#include <cmath>
#include <filesystem>

#include "backend/bf16.h"
#include "tests/trainer/train_support.h"
#include "trainer/load_model.h"

namespace seqrank {
namespace {

class RowDtype : public Train {
 protected:
  static Settings with(const std::string& rule, Settings settings = {}) {
    settings.insert({{"table.optimiser", rule},
                     {"table.dtype", "bf16"},
                     {"loss.kind", "sampled_softmax"},
                     {"loss.negatives", "20"},
                     {"train.steps", "60"},
                     {"train.rate_scale", "items*:4"}});
    return settings;
  }
  std::vector<double> losses_of(const std::string& name, int ranks, const Settings& settings) {
    std::filesystem::remove_all(temp_.path() + "/" + name);
    run(ranks, name, settings);
    return losses(name);
  }
  // The largest of any step.
  static double distance(const std::vector<double>& one, const std::vector<double>& other) {
    double largest = one.size() == other.size() ? 0 : INFINITY;
    for (std::size_t i = 0; i < std::min(one.size(), other.size()); ++i)
      largest = std::max(largest, std::abs(other[i] / one[i] - 1));
    return largest;
  }
};

// The draws are the same. Sums over ranks differ in their last digit, though, and where a value
// lies just there its draw falls on the other side: of fp32's 2^16 values between two of bf16, one
// or two. So of the 30,000 roundings here one may, and moves one weight by 2^-8 of it. All of them
// together move losses a hundred times as far.
TEST_F(RowDtype, AnyRanksAndGroupsHaveTheLossesOfOne) {
  for (const char* rule : {"rowwise_adagrad", "lazy_adam"}) {
    Settings settings = with(rule, {{"train.warmup", "0"}, {"train.rate_scale", "items*:20"}});
    const auto one = losses_of("one", 1, settings);
    ASSERT_EQ(one.size(), 60u);
    for (const int ranks : {2, 4})
      EXPECT_LT(distance(one, losses_of("whole", ranks, settings)), 1e-5) << rule << ranks;
    settings["table.split"] = "yes";
    for (const auto& [ranks, group] : {std::pair(2, "all"), {4, "2"}, {7, "all"}}) {
      settings["table.group"] = group;
      EXPECT_LT(distance(one, losses_of("split", ranks, settings)), 1e-5) << rule << ranks << group;
    }
    settings["table.dtype"] = "fp32";
    const double rounding = distance(one, losses_of("fp32", 7, settings));
    EXPECT_GT(rounding, 1e-4) << rule;
    EXPECT_LT(rounding, 1e-2) << rule;
  }
}

TEST_F(RowDtype, TwiceAndResumedIsTheSameToTheBit) {
  for (const char* rule : {"rowwise_adagrad", "lazy_adam"}) {
    const Settings settings = with(rule, {{"table.split", "yes"}, {"table.group", "2"}});
    Settings stopped = settings;
    stopped["train.stop_at_step"] = "25";
    const auto whole = losses_of("whole", 4, settings);
    EXPECT_EQ(losses_of("again", 4, settings), whole) << rule;
    EXPECT_EQ(state("again", 60), state("whole", 60)) << rule;
    losses_of("parts", 4, stopped);
    run(4, "parts", settings);
    EXPECT_EQ(losses("parts"), whole) << rule;
    EXPECT_EQ(state("parts", 60), state("whole", 60)) << rule;
    const auto weight = weights("whole", 60, settings).at("items");
    EXPECT_TRUE(std::ranges::all_of(weight, [](float x) { return from_bf16(to_bf16(x)) == x; }));
  }
}

// What other ranks read of a checkpoint is to the bit what these saved.
TEST_F(RowDtype, OtherRanksGoOnFromTheSameBits) {
  const Settings settings = with("rowwise_adagrad", {{"train.stop_at_step", "20"}});
  losses_of("two", 2, settings);
  const std::vector<float> before = state("two", 20);
  for (const auto& [ranks, split] : {std::pair(1, "no"), {3, "no"}, {3, "yes"}, {4, "yes"}}) {
    const Dataset dataset = Dataset::open(data_);
    Settings other = settings;
    other["table.split"] = split;
    other["table.group"] = "all";
    other["train.init_from"] = temp_.path() + "/two";
    other["train.stop_at_step"] = "1";
    other["train.learning_rate"] = "0";
    losses_of("others", ranks, other);
    EXPECT_EQ(weights("others", 1, other), weights("two", 20, settings)) << ranks << split;
  }
  run(3, "two", with("rowwise_adagrad"));
  EXPECT_EQ(losses("two").size(), 60u);
}

TEST_F(RowDtype, InAFileHasTheBitsOfMemory) {
  for (const auto& [ranks, tied] : {std::pair(1, "yes"), {1, "no"}, {3, "yes"}}) {
    Settings settings = with("rowwise_adagrad", {{"model.tied", tied}});
    if (ranks > 1) settings.insert({{"table.split", "yes"}, {"table.group", "all"}});
    const auto memory = losses_of("memory", ranks, settings);
    settings["table.tier"] = "file";
    EXPECT_EQ(losses_of("file", ranks, settings), memory) << ranks << tied;
    EXPECT_EQ(state("file", 60), state("memory", 60)) << ranks << tied;
    settings["train.stop_at_step"] = "30";
    losses_of("parts", ranks, settings);
    settings.erase("train.stop_at_step");
    run(ranks, "parts", settings);
    EXPECT_EQ(losses("parts"), memory) << ranks << tied;
    EXPECT_EQ(state("parts", 60), state("memory", 60)) << ranks << tied;
  }
}

// In training rows of bf16, afterwards of fp32: the same values.
TEST_F(RowDtype, IsEvaluatedAsFp32) {
  const Settings every = {
      {"train.evaluate_every", "1"}, {"train.epochs", "2"}, {"train.steps", "0"}};
  for (const Settings& form :
       {Settings{}, {{"table.tier", "file"}}, {{"model.name", "din"}, {"model.hidden", "16"}}}) {
    Settings settings = with("rowwise_adagrad", every);
    for (const auto& [key, value] : form) settings[key] = value;
    if (form.contains("model.name")) {
      for (const char* key : {"loss.kind", "loss.negatives"}) settings.erase(key);
      settings["data.protocol"] = "p1";
    }
    losses_of("run", 1, settings);
    const double best = saved("run").best_value;
    EXPECT_GT(best, 0);
    const Dataset dataset = Dataset::open(data_);
    Context ctx(Device::cpu, 1);
    const auto comm = make_null_communicator();
    const auto loaded =
        load_model(ctx, *comm, temp_.path() + "/run", "", dataset, {}, [](const std::string&) {});
    for (const Parameter& p : loaded->parameters.parameters()) EXPECT_EQ(p.dtype, DType::f32);
    const Protocol protocol(dataset, protocol_options_from(loaded->options));
    const Evaluation found =
        evaluate(ctx, *comm, *loaded->model, protocol,
                 evaluate_options_from(loaded->options, Split::validation), loaded->exchange.get());
    EXPECT_NEAR(found.metrics.at(found.selection), best, 1e-6);
  }
}

TEST_F(RowDtype, StartsFromFp32RoundedToNearest) {
  Settings settings = with("rowwise_adagrad", {{"table.dtype", "fp32"}, {"train.steps", "10"}});
  losses_of("source", 1, settings);
  Settings taken = settings;
  taken["table.dtype"] = "bf16";
  taken["train.init_from"] = temp_.path() + "/source";
  taken["train.steps"] = "1";
  taken["train.learning_rate"] = "0";
  losses_of("taken", 1, taken);
  const auto from = weights("source", 10, settings).at("items");
  const auto to = weights("taken", 1, taken).at("items");
  for (std::size_t i = 0; i < from.size(); ++i) ASSERT_EQ(to[i], from_bf16(to_bf16(from[i])));
}

TEST_F(RowDtype, WhatItCannotDoIsRefused) {
  const auto message = [&](const Settings& settings, ErrorKind kind) -> std::string {
    try {
      run(1, "refused", settings);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), kind) << error.what();
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(message(with("adamw"), ErrorKind::usage),
              testing::HasSubstr("--table.optimiser=rowwise_adagrad"));
  run(1, "refused", with("lazy_adam", {{"train.stop_at_step", "3"}}));
  EXPECT_THAT(message(with("lazy_adam", {{"table.dtype", "fp32"}}), ErrorKind::checkpoint),
              testing::HasSubstr("table.dtype"));
}

}  // namespace
}  // namespace seqrank
