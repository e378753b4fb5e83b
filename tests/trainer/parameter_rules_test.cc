// Parameters that are frozen or have a learning rate of their own: which bits a run changes, on any
// number of ranks, and patterns that fit nothing.
#include "trainer/parameter_rules.h"

#include "tests/trainer/train_support.h"

namespace seqrank {
namespace {

using Weights = std::map<std::string, std::vector<float>>;

class ParameterRules : public Train {
 protected:
  Weights initial(const Settings& settings) {
    const Options given = options("initial", settings);
    Context ctx(Device::cpu, 1);
    ParameterStore parameters;
    find_model("attention_rnn").make({given, 60, parameters});
    parameters.allocate(ctx, 1);
    Weights result;
    for (const Parameter& p : parameters.parameters()) {
      const auto values = p.value().span<float>();
      result[p.name].assign(values.begin(), values.end());
    }
    return result;
  }
  std::string refusal(const Settings& settings) {
    try {
      run(1, "refused", settings);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
      return error.what();
    }
    return "";
  }
};

bool same(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

TEST_F(ParameterRules, WhatIsFrozenKeepsItsBitsAndAllElseLearns) {
  for (const char* tied : {"yes", "no"})
    for (const char* frozen : {"items,rnn.*", "items_out,attention.*", "*.w,rnn.*"})
      for (int ranks : {1, 3}) {
        if (std::string(tied) == "yes" && std::string(frozen).starts_with("items_out")) continue;
        SCOPED_TRACE(fmt::format("tied {}, frozen {}, {} ranks", tied, frozen, ranks));
        Settings settings = {{"model.tied", tied},
                             {"train.freeze", frozen},
                             {"train.weight_decay", "0.1"},
                             {"train.bucket_bytes", "512"}};
        const std::string name = fmt::format("{}{}{}", tied, frozen, ranks);
        settings["train.steps"] = "12";
        run(ranks, name, settings);
        const Weights before = initial(settings), after = weights(name, 12, settings);
        ParameterStore store;
        const Options given = options(name, settings);
        find_model("attention_rnn").make({given, 60, store});
        apply_parameter_rules(given, store);
        for (const Parameter& p : store.parameters())
          EXPECT_EQ(same(before.at(p.name), after.at(p.name)), p.frozen()) << p.name;
      }
}

TEST_F(ParameterRules, ARunWithFrozenTablesIsTheSameOnAnyRanksAndResumesToTheBit) {
  for (const char* tied : {"yes", "no"}) {
    const std::string t = tied;
    const Settings settings = {{"model.tied", tied},
                               {"train.steps", "40"},
                               {"train.freeze", "items,attention.*"},
                               {"train.evaluate_every", "1"},
                               {"train.rate_scale", "rnn.*:0.5"}};
    Settings half = settings;
    half["train.stop_at_step"] = "17";
    run(1, "one" + t, settings);
    run(3, "whole" + t, settings);
    run(3, "parts" + t, half);
    run(3, "parts" + t, settings);
    EXPECT_EQ(losses("whole" + t), losses("parts" + t));
    EXPECT_EQ(weights("whole" + t, 40, settings), weights("parts" + t, 40, settings));
    const auto one = losses("one" + t), three = losses("whole" + t);
    ASSERT_EQ(one.size(), three.size());
    for (std::size_t i = 0; i < one.size(); ++i) ASSERT_NEAR(three[i] / one[i], 1, 1e-5) << i;
  }
}

// Of the first step, whose gradients are the same whatever is frozen.
TEST_F(ParameterRules, TheNormIsOfWhatIsTrained) {
  run(1, "all", {{"train.steps", "1"}});
  run(3, "some", {{"train.steps", "1"}, {"train.freeze", "items,rnn.*"}});
  run(3, "others", {{"train.steps", "1"}, {"train.freeze", "attention.*,output.*"}});
  const auto norm = [&](const char* name) { return lines(name)[0]["grad_norm"].get<double>(); };
  EXPECT_GT(norm("some"), 0);
  EXPECT_NEAR(std::hypot(norm("some"), norm("others")) / norm("all"), 1, 1e-6);
}

TEST_F(ParameterRules, AFactorScalesTheStepOfThoseThatItNames) {
  const Settings plain = {{"train.steps", "1"}, {"train.warmup", "0"}};
  Settings scaled = plain;
  scaled["train.rate_scale"] = "*:3,rnn.*:0.25,output.b:0.5,items:1";
  run(2, "plain", plain);
  run(2, "scaled", scaled);
  const Weights before = initial({}), a = weights("plain", 1, {}), b = weights("scaled", 1, {});
  for (const auto& [name, old] : before) {
    double factor = name.starts_with("rnn.") ? 0.25 : 3;
    if (name == "output.b") factor = 0.5;
    if (name == "items") factor = 1;
    EXPECT_EQ(same(a.at(name), b.at(name)), factor == 1) << name;
    for (std::size_t i = 0; i < old.size(); ++i)
      ASSERT_NEAR(b.at(name)[i] - old[i], factor * (a.at(name)[i] - old[i]), 1e-6) << name;
  }
}

TEST_F(ParameterRules, PatternsThatFitNothingAreUsageErrorsWithNamesThatDo) {
  EXPECT_THAT(refusal({{"train.freeze", "itms"}}),
              testing::AllOf(testing::HasSubstr("--train.freeze: 'itms' fits no parameter"),
                             testing::HasSubstr("did you mean 'items'?")));
  EXPECT_THAT(refusal({{"train.freeze", "items,layer.*"}}),
              testing::AllOf(testing::HasSubstr("'layer.*'"), testing::HasSubstr("output.w")));
  EXPECT_THAT(refusal({{"train.freeze", "*"}}), testing::HasSubstr("nothing is left to train"));
  EXPECT_THAT(refusal({{"train.rate_scale", "items_out:0.5"}}),
              testing::HasSubstr("did you mean 'items'?"));
  for (const char* wrong : {"items:0", "items:-1", "items:x", "items:", "items:inf"})
    EXPECT_THAT(refusal({{"train.rate_scale", wrong}}), testing::HasSubstr("above 0")) << wrong;
  EXPECT_THAT(refusal({{"train.rate_scale", "items"}}),
              testing::HasSubstr("'items' is not PATTERN:FACTOR"));
}

}  // namespace
}  // namespace seqrank
