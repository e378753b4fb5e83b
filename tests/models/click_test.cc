// Click-through models in use: scores of given targets and of the catalogue agree, labels reach
// what follows them and nothing before, and what the data set lacks is said.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/models/built_model.h"
#include "tests/support/packed_batch.h"

namespace seqrank {
namespace {

struct ClickCase {
  std::string model;
  std::map<std::string, std::string> settings;
  friend void PrintTo(const ClickCase& c, std::ostream* out) {
    *out << c.model << " " << testing::PrintToString(c.settings);
  }
};

class ClickModels : public testing::TestWithParam<ClickCase> {
 protected:
  std::unique_ptr<Built> built() { return build(ctx_, GetParam().model, GetParam().settings); }
  Batch batch_of(const Built& built, const std::vector<std::vector<int>>& sequences) {
    return packed_batch(ctx_, sequences, 0, built.model->needs());
  }
  std::vector<float> target_scores(Built& built, const Batch& batch) {
    Tensor logit_N = ctx_.empty(DType::f32, {batch.events});
    dynamic_cast<ClickModel&>(*built.model).score_targets(ctx_, batch, logit_N);
    const auto values = logit_N.span<float>();
    return {values.begin(), values.end()};
  }
  Context ctx_{Device::cpu, 1};
};

const std::vector<std::vector<int>> kSequences = {{1, 2, 3, 4, 5, 6}, {7, 3}, {0, 10, 2, 2}};

TEST_P(ClickModels, RanksTheCatalogueByWhatItSaysOfGivenTargets) {
  auto model = built();
  const Batch batch = batch_of(*model, kSequences);
  Tensor score_BV = ctx_.empty(DType::f32, {3, 11});
  model->model->score_next(ctx_, batch, score_BV);
  for (int b = 0; b < 3; ++b) {
    for (int v = 0; v < 11; ++v) {
      auto asked = kSequences[b];
      asked.back() = v;
      EXPECT_NEAR(score_BV.data<float>()[b * 11 + v],
                  target_scores(*model, batch_of(*model, {asked})).back(), 1e-5);
    }
  }
}

TEST_P(ClickModels, ALabelReachesWhatFollowsAndNothingElse) {
  auto model = built();
  Batch batch = batch_of(*model, kSequences);
  const auto before = target_scores(*model, batch);
  float& label = batch.label_N.data<float>()[2];  // of sequence 0: events 0..4
  label = 1 - label;
  const auto after = target_scores(*model, batch);
  const bool all_look = !GetParam().settings.contains("model.attention") ||
                        GetParam().settings.at("model.attention") != "hard";
  for (int n = 0; n < batch.events; ++n) {
    const bool follows = n >= 2 && n < 5;
    if (follows && !all_look) continue;
    EXPECT_EQ(before[n] != after[n], follows) << n;
  }
  for (float& target : batch.target_label_N.span<float>()) target = 1 - target;
  EXPECT_EQ(target_scores(*model, batch), after);
}

TEST_P(ClickModels, SayWhereLabelsAreMissing) {
  auto model = built();
  Batch batch = batch_of(*model, kSequences);
  batch.target_label_N = Tensor();
  try {
    loss_of(ctx_, *model, batch);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::data);
    EXPECT_THAT(error.what(), testing::HasSubstr("labels"));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Each, ClickModels,
    testing::Values(ClickCase{"target_attention", {}},
                    ClickCase{"target_attention", {{"model.user_input", "kind"}}},
                    ClickCase{"target_attention", {{"model.attention", "none"}}},
                    ClickCase{"target_attention", {{"model.attention", "hard"}}},
                    ClickCase{"lstm_self_attention_click", {{"model.heads", "2"}}},
                    ClickCase{"din", {}}, ClickCase{"din", {{"model.user_input", "kind"}}}));

}  // namespace
}  // namespace seqrank
