// What every model has to keep, in every form of it: gradients against differences of its own loss,
// parameters complete once, sequences apart, learning. A model adds its forms at the end.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "backend/ops/activation.h"
#include "tests/models/built_model.h"
#include "tests/support/packed_batch.h"

namespace seqrank {
namespace {

using Form = std::map<std::string, std::string>;
struct NamedForm {
  std::string model;
  Form settings;
  friend void PrintTo(const NamedForm& form, std::ostream* out) {
    *out << form.model << " " << testing::PrintToString(form.settings);
  }
};
class ModelForms : public testing::TestWithParam<NamedForm> {};

std::vector<NamedForm> forms_of(const std::string& model, const std::vector<Form>& forms) {
  std::vector<NamedForm> named;
  for (const Form& form : forms) named.push_back({model, form});
  return named;
}

const std::vector<std::vector<int>> kSequences = {{1, 2, 3, 4, 5, 6}, {7, 3}, {0, 10, 2, 2}};

Batch batch_for(Context& ctx, const Built& built, const std::vector<std::vector<int>>& sequences) {
  const BatchNeeds needs = built.model->needs();
  Batch batch = packed_batch(ctx, sequences, 0, needs);
  if (needs.objective == Objective::masked) hide_items(ctx, 11, batch);
  return batch;
}

bool has_no_derivative(const NamedForm& form) {
  const auto attention = form.settings.find("model.attention");
  return attention != form.settings.end() && attention->second == "hard";
}

// The derivative along the gradient is the gradient's squared length.
TEST_P(ModelForms, GradientMatchesDifferencesOfTheLoss) {
  if (has_no_derivative(GetParam())) GTEST_SKIP() << "a choice has no derivative to compare with";
  Context ctx(Device::cpu, 1);
  auto built = build(ctx, GetParam().model, GetParam().settings);
  const Batch batch = batch_for(ctx, *built, kSequences);
  const std::vector<float> gradient = gradient_of(ctx, *built, batch);
  double squared = 0;
  for (float x : gradient) squared += static_cast<double>(x) * x;
  ASSERT_GT(squared, 0);

  const double step = 2e-3 / std::sqrt(squared);
  const auto w = built->store.values().span<float>();
  const std::vector<float> start(w.begin(), w.end());
  auto moved = [&](double by) {
    for (std::size_t i = 0; i < w.size(); ++i)
      w[i] = static_cast<float>(start[i] + by * gradient[i]);
    return loss_of(ctx, *built, batch);
  };
  const double slope = (moved(step) - moved(-step)) / (2 * step);
  EXPECT_NEAR(slope / squared, 1, 5e-3);
}

// Along a direction that has nothing to do with the gradient: what is missing in it fails here.
TEST_P(ModelForms, EveryParametersGradientMatchesAlongARandomDirection) {
  if (has_no_derivative(GetParam())) GTEST_SKIP() << "a choice has no derivative to compare with";
  Context ctx(Device::cpu, 1);
  auto built = build(ctx, GetParam().model, GetParam().settings);
  const Batch batch = batch_for(ctx, *built, kSequences);
  const std::vector<float> gradient = gradient_of(ctx, *built, batch);
  std::mt19937 random(17);
  for (Parameter& p : built->store.parameters()) {
    const auto w = p.value().span<float>();
    const std::span g(gradient.data() + p.offset, w.size());
    const std::vector<float> start(w.begin(), w.end());
    std::vector<double> direction(w.size());
    double expected = 0, squared = 0;
    for (std::size_t i = 0; i < w.size(); ++i) {
      direction[i] = static_cast<double>(random()) / 2147483648.0 - 1;
      expected += direction[i] * g[i];
      squared += direction[i] * direction[i];
    }
    const double length = std::sqrt(squared);
    auto moved = [&](double by) {
      for (std::size_t i = 0; i < w.size(); ++i)
        w[i] = static_cast<float>(start[i] + by * direction[i]);
      return loss_of(ctx, *built, batch);
    };
    double error = INFINITY;  // the least over steps: one may cross the kink of a ReLU
    for (const double step : {4e-3 / length, 2e-3 / length, 1e-3 / length, 8e-3 / length}) {
      const double slope = (moved(step) - moved(-step)) / (2 * step);
      error = std::min(error, std::abs(slope - expected) / length);
    }
    std::copy(start.begin(), start.end(), w.begin());
    EXPECT_LT(error, 2e-4 + 5e-4 * std::abs(expected / length)) << p.name;
    double norm = 0;
    for (float x : g) norm += static_cast<double>(x) * x;
    EXPECT_GT(std::sqrt(norm), 1e-6) << p.name;
  }
}

TEST_P(ModelForms, EveryParameterIsCompleteExactlyOnce) {
  Context ctx(Device::cpu, 1);
  auto built = build(ctx, GetParam().model, GetParam().settings);
  const Batch batch = batch_for(ctx, *built, kSequences);
  std::map<std::string, int> completed;
  Tape tape(ctx, TapeMode::training, 5, {.complete = [&](Parameter& p) { ++completed[p.name]; }});
  Var loss = built->trained().loss(tape, batch);
  EXPECT_TRUE(completed.empty());
  tape.backward(loss);
  for (const Parameter& p : built->store.parameters())
    EXPECT_EQ(completed[p.name], p.access == Access::rows ? 0 : 1) << p.name;
}

TEST_P(ModelForms, ScoresOfOneSequenceDoNotDependOnTheOthers) {
  if (GetParam().settings.contains("model.target_input"))
    GTEST_SKIP() << "columns of targets are known of given targets alone";
  Context ctx(Device::cpu, 1);
  auto built = build(ctx, GetParam().model, GetParam().settings);
  const Batch all = batch_for(ctx, *built, kSequences);
  Tensor all_BV = ctx.empty(DType::f32, {3, 11});
  built->model->score_next(ctx, all, all_BV);
  for (int b = 0; b < 3; ++b) {
    const Batch one = batch_for(ctx, *built, {kSequences[b]});
    Tensor one_BV = ctx.empty(DType::f32, {1, 11});
    built->model->score_next(ctx, one, one_BV);
    for (int v = 0; v < 11; ++v)
      EXPECT_NEAR(one_BV.data<float>()[v], all_BV.data<float>()[b * 11 + v], 1e-5);
  }
}

// Weights say what the model looks at: they are those of the sequence alone, and sum to one where
// the model says so.
TEST_P(ModelForms, AttentionWeightsAreOfEachSequenceAlone) {
  Context ctx(Device::cpu, 1);
  auto built = build(ctx, GetParam().model, GetParam().settings);
  auto* attention = dynamic_cast<AttentionModel*>(built->model.get());
  if (!attention) GTEST_SKIP() << GetParam().model << " has no attention";
  const Batch all = batch_for(ctx, *built, kSequences);
  const Tensor weight_N = attention->attention_weights(ctx, all, {});
  if (!weight_N) GTEST_SKIP() << GetParam().model << " has no attention as it is set";
  const auto offset_B1 = all.offset_B1.span<std::int32_t>();
  for (std::size_t b = 0; b < kSequences.size(); ++b) {
    const Batch one = batch_for(ctx, *built, {kSequences[b]});
    const Tensor alone_N = attention->attention_weights(ctx, one, {});
    double sum = 0;
    for (std::int64_t n = 0; n < one.events; ++n) {
      sum += alone_N.data<float>()[n];
      EXPECT_NEAR(alone_N.data<float>()[n], weight_N.data<float>()[offset_B1[b] + n], 1e-6);
    }
    if (attention->weights_sum_to_one()) {
      EXPECT_NEAR(sum, 1, 1e-6);
    }
  }
}

TEST_P(ModelForms, EmptyBatchHasNoLossAndNoGradient) {
  Context ctx(Device::cpu, 1);
  auto built = build(ctx, GetParam().model, GetParam().settings);
  const Batch batch = batch_for(ctx, *built, {});
  fill(ctx, built->store.gradients(), 0);
  Tape tape(ctx, TapeMode::training, 5);
  Var loss = built->trained().loss(tape, batch);
  tape.backward(loss);
  EXPECT_EQ(loss.value().span<double>()[0], 0);
  for (float g : built->store.gradients().span<float>()) ASSERT_EQ(g, 0.0f);
}

// A dozen steps of plain gradient descent on one batch: what it says is what lowers the loss.
TEST_P(ModelForms, LearnsOneBatch) {
  Context ctx(Device::cpu, 1);
  auto built = build(ctx, GetParam().model, GetParam().settings);
  const Batch batch = batch_for(ctx, *built, kSequences);
  const double first = loss_of(ctx, *built, batch);
  auto w = built->store.values().span<float>();
  std::vector<double> square(w.size(), 0);
  for (int step = 0; step < 300; ++step) {  // RMSProp: one rate for every model
    const std::vector<float> gradient = gradient_of(ctx, *built, batch);
    for (std::size_t i = 0; i < w.size(); ++i) {
      square[i] = 0.9 * square[i] + 0.1 * gradient[i] * gradient[i];
      w[i] -= static_cast<float>(0.005 * gradient[i] / (std::sqrt(square[i]) + 1e-8));
    }
  }
  const auto kind = GetParam().settings.find("loss.kind");
  const bool top1 = kind != GetParam().settings.end() && kind->second.starts_with("top1");
  const double least = top1 ? 0.5 : 0;  // its sigmoid of squared scores
  EXPECT_LT(loss_of(ctx, *built, batch) - least, 0.5 * (first - least));
}

INSTANTIATE_TEST_SUITE_P(
    AttentionRnn, ModelForms,
    testing::ValuesIn(forms_of("attention_rnn",
                               {{},
                                {{"model.cell", "lstm"}},
                                {{"model.attention", "query"}},
                                {{"model.attention", "query"}, {"model.activation", "relu"}},
                                {{"model.layers", "2"}, {"model.skip", "no"}},
                                {{"model.pooling", "sum"}, {"model.context_relu", "yes"}},
                                {{"model.pooling", "mean"}, {"model.attention_width", "5"}},
                                {{"model.pooling", "max"}},
                                {{"model.tied", "no"}},
                                {{"model.score", "cosine"}, {"model.temperature", "0.2"}},
                                {{"model.label_smoothing", "0.1"}},
                                {{"model.input", "position,gap,hour,item.interest"}}})));
INSTANTIATE_TEST_SUITE_P(SasRec, ModelForms,
                         testing::ValuesIn(forms_of("sasrec", {{},
                                                               {{"model.heads", "2"}},
                                                               {{"model.activation", "gelu"}},
                                                               {{"model.blocks", "1"},
                                                                {"model.feed_width", "12"},
                                                                {"model.input", "none"}},
                                                               {{"model.tied", "no"}}})));
// Some sums of its perceptron lie so near the kink of ReLU that differences cross it.
const Form::value_type kSmooth = {"model.activation", "gelu"};
INSTANTIATE_TEST_SUITE_P(
    LstmSelfAttention, ModelForms,
    testing::ValuesIn(forms_of("lstm_self_attention",
                               {{kSmooth},
                                {{"model.attention", "additive"}},
                                {kSmooth,
                                 {"model.item_scale", "2"},
                                 {"model.heads", "2"},
                                 {"model.layers", "2"},
                                 {"model.feed_width", "12"}},
                                {kSmooth, {"model.skip", "no"}, {"model.input", "position"}},
                                {kSmooth, {"model.tied", "no"}}})));
INSTANTIATE_TEST_SUITE_P(LstmSelfAttentionClick, ModelForms,
                         testing::ValuesIn(forms_of("lstm_self_attention_click",
                                                    {{kSmooth, {"model.hidden", "8"}},
                                                     {kSmooth,
                                                      {"model.attention", "additive"},
                                                      {"model.hidden_layers", "0"},
                                                      {"model.item_scale", "1"},
                                                      {"model.user_input", "kind"}}})));
INSTANTIATE_TEST_SUITE_P(Gru4Rec, ModelForms,
                         testing::ValuesIn(forms_of("gru4rec", {{},
                                                                {{"model.layers", "2"},
                                                                 {"model.dropout", "0.2"},
                                                                 {"model.input_dropout", "0.2"}},
                                                                {{"model.input", "gap,weekday"}},
                                                                {{"model.tied", "no"}}})));
INSTANTIATE_TEST_SUITE_P(Narm, ModelForms,
                         testing::ValuesIn(forms_of("narm", {{},
                                                             {{"model.state_width", "12"},
                                                              {"model.layers", "2"},
                                                              {"model.output_dropout", "0"}},
                                                             {{"model.input", "position"}},
                                                             {{"model.tied", "no"}}})));
INSTANTIATE_TEST_SUITE_P(
    InterestTransfer, ModelForms,
    testing::ValuesIn(forms_of("interest_transfer",
                               {{},
                                {{"model.cell", "gru"}, {"model.recommend", "weighted"}},
                                {{"model.interest", "none"}, {"model.tied", "no"}},
                                {{"model.interest_weight", "2"},
                                 {"model.transition_weight", "3"}}})));
INSTANTIATE_TEST_SUITE_P(
    Bert4Rec, ModelForms,
    testing::ValuesIn(forms_of(
        "bert4rec", {{},
                     {{"model.blocks", "1"}, {"model.feed_width", "12"}, {"model.input", "none"}},
                     {{"model.score", "cosine"}, {"model.temperature", "0.2"}},
                     {{"model.tied", "no"}}})));
INSTANTIATE_TEST_SUITE_P(
    Hstu, ModelForms,
    testing::ValuesIn(forms_of("hstu", {{},
                                        {{"model.heads", "1"}, {"model.time_bias", "yes"}},
                                        {{"model.blocks", "1"}, {"model.input", "position"}},
                                        {{"model.score", "cosine"}, {"model.temperature", "0.2"}},
                                        {{"model.tied", "no"}}})));
INSTANTIATE_TEST_SUITE_P(
    TimeTransformer, ModelForms,
    testing::ValuesIn(forms_of("time_transformer",
                               {{},
                                {{"model.time_bias", "yes"}, {"model.input", "position"}},
                                {{"model.objective", "masked"}, {"model.time_bias", "yes"}},
                                {{"model.objective", "masked"}, {"model.same_history", "0"}},
                                {{"model.objective", "masked"}, {"model.mask", "causal"}}})));

// Narrow hidden layers: the fewer ReLUs, the fewer kinks that a difference may cross.
INSTANTIATE_TEST_SUITE_P(
    TargetAttention, ModelForms,
    testing::ValuesIn(
        forms_of("target_attention",
                 {{{"model.hidden", "8"}},
                  {{"model.attention", "none"}, {"model.hidden", "8"}},
                  {{"model.attention", "hard"}, {"model.hidden", "8"}},
                  {{"model.cell", "gru"}, {"model.layers", "2"}, {"model.attention_width", "5"}},
                  {{"model.hidden_layers", "0"}, {"model.input", "position"}},
                  {{"model.user_input", "kind"}, {"model.hidden", "11"}},
                  {{"model.target_input", "interest"}, {"model.hidden", "8"}}})));
INSTANTIATE_TEST_SUITE_P(
    Din, ModelForms,
    testing::ValuesIn(forms_of(
        "din", {{{"model.unit_width", "4"}, {"model.hidden_layers", "0"}},
                {{"model.activation", "tanh"}, {"model.unit_width", "5"}, {"model.hidden", "8"}},
                {{"model.input", "position"},
                 {"model.user_input", "kind"},
                 {"model.unit_width", "4"},
                 {"model.hidden", "8"}},
                {{"model.target_input", "interest"},
                 {"model.activation", "tanh"},
                 {"model.hidden_layers", "1"},
                 {"model.hidden", "8"}}})));
// Every loss, by two models.
INSTANTIATE_TEST_SUITE_P(
    Losses, ModelForms,
    testing::ValuesIn(forms_of("attention_rnn",
                               {{{"loss.kind", "sampled_softmax"}},
                                {{"loss.kind", "sampled_softmax"}, {"loss.own_items", "no"}},
                                {{"loss.kind", "sampled_softmax"},
                                 {"loss.log_q", "no"},
                                 {"model.score", "cosine"},
                                 {"model.temperature", "0.2"}},
                                {{"loss.kind", "bce"}, {"model.tied", "no"}},
                                {{"loss.kind", "gbce"}, {"loss.negatives", "6"}},
                                {{"loss.kind", "bpr"}, {"loss.own_items", "no"}},
                                {{"loss.kind", "bpr_max"}, {"loss.bpr_reg", "0.1"}},
                                {{"loss.kind", "top1"}},
                                {{"loss.kind", "top1_max"}}})));
INSTANTIATE_TEST_SUITE_P(SasRecWithNegatives, ModelForms,
                         testing::ValuesIn(forms_of("sasrec", {{{"model.activation", "gelu"},
                                                                {"loss.kind", "gbce"},
                                                                {"loss.negatives", "6"}}})));

}  // namespace
}  // namespace seqrank
