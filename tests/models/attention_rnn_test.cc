// attention_rnn: every form of it against differences of its own loss, causality, learning.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "backend/ops/activation.h"
#include "models/model.h"
#include "tests/support/packed_batch.h"

namespace seqrank {
namespace {

struct Built {
  Options options;
  ParameterStore store;
  std::unique_ptr<Model> model;
  TrainedModel& trained() { return dynamic_cast<TrainedModel&>(*model); }
};

std::unique_ptr<Built> build(Context& ctx, const std::map<std::string, std::string>& settings,
                             std::int64_t items = 11) {
  auto built = std::make_unique<Built>();
  built->options.declare(model_options("attention_rnn"));
  built->options.set("model.width", "8", "test");
  built->options.set("model.item_scale", "0.5", "test");
  for (const auto& [key, value] : settings) built->options.set(key, value, "test");
  built->model = find_model("attention_rnn").make({built->options, items, built->store});
  built->store.allocate(ctx, 3);
  return built;
}

double loss_of(Context& ctx, Built& built, const Batch& batch) {
  Tape tape(ctx, TapeMode::training, 5);
  return built.trained().loss(tape, batch).value().span<double>()[0];
}

// A copy: the loss itself adds to the item table's gradient, whenever it is computed.
std::vector<float> gradient_of(Context& ctx, Built& built, const Batch& batch) {
  fill(ctx, built.store.gradients(), 0);
  Tape tape(ctx, TapeMode::training, 5);
  Var loss = built.trained().loss(tape, batch);
  tape.backward(loss);
  const auto gradient = built.store.gradients().span<float>();
  return {gradient.begin(), gradient.end()};
}

const std::vector<std::vector<int>> kSequences = {{1, 2, 3, 4, 5, 6}, {7, 3}, {0, 10, 2, 2}};

class AttentionRnnForms : public testing::TestWithParam<std::map<std::string, std::string>> {};

// The derivative along the gradient is the gradient's squared length.
TEST_P(AttentionRnnForms, GradientMatchesDifferencesOfTheLoss) {
  Context ctx(Device::cpu, 1);
  auto built = build(ctx, GetParam());
  const Batch batch = packed_batch(ctx, kSequences);
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
TEST_P(AttentionRnnForms, EveryParametersGradientMatchesAlongARandomDirection) {
  Context ctx(Device::cpu, 1);
  auto built = build(ctx, GetParam());
  const Batch batch = packed_batch(ctx, kSequences);
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
    const double length = std::sqrt(squared), step = 4e-3 / length;
    auto moved = [&](double by) {
      for (std::size_t i = 0; i < w.size(); ++i)
        w[i] = static_cast<float>(start[i] + by * direction[i]);
      return loss_of(ctx, *built, batch);
    };
    const double slope = (moved(step) - moved(-step)) / (2 * step);
    std::copy(start.begin(), start.end(), w.begin());
    EXPECT_NEAR(slope / length, expected / length, 2e-4 + 5e-4 * std::abs(expected / length))
        << p.name;
    double norm = 0;
    for (float x : g) norm += static_cast<double>(x) * x;
    EXPECT_GT(std::sqrt(norm), 1e-6) << p.name;
  }
}

using Form = std::map<std::string, std::string>;
INSTANTIATE_TEST_SUITE_P(
    All, AttentionRnnForms,
    testing::Values(Form{}, Form{{"model.cell", "lstm"}}, Form{{"model.attention", "query"}},
                    Form{{"model.attention", "query"}, {"model.activation", "relu"}},
                    Form{{"model.layers", "2"}, {"model.skip", "no"}},
                    Form{{"model.pooling", "sum"}, {"model.context_relu", "yes"}},
                    Form{{"model.pooling", "mean"}, {"model.attention_width", "5"}},
                    Form{{"model.pooling", "max"}}, Form{{"model.tied", "no"}},
                    Form{{"model.score", "cosine"}, {"model.temperature", "0.2"}},
                    Form{{"model.label_smoothing", "0.1"}}));

TEST(AttentionRnn, EveryParameterIsCompleteExactlyOnceAndTheTiedTableFirst) {
  Context ctx(Device::cpu, 1);
  auto built = build(ctx, {{"model.layers", "2"}});
  const Batch batch = packed_batch(ctx, kSequences);
  std::vector<std::string> completed;
  Tape tape(ctx, TapeMode::training, 5,
            {.complete = [&](Parameter& p) { completed.push_back(p.name); }});
  Var loss = built->trained().loss(tape, batch);
  EXPECT_TRUE(completed.empty());
  tape.backward(loss);
  EXPECT_EQ(completed.size(), built->store.parameters().size());
  EXPECT_EQ(completed.front(), "items");  // but for the rows that the look-up adds
  EXPECT_EQ(built->store.parameters().back().name, "items");
}

TEST(AttentionRnn, AnOutputTableOfItsOwnIsDeclaredLastAndCompleteFirst) {
  Context ctx(Device::cpu, 1);
  auto built = build(ctx, {{"model.tied", "no"}});
  EXPECT_EQ(built->store.parameters().back().name, "items_out");
  const Batch batch = packed_batch(ctx, kSequences);
  std::vector<std::string> completed;
  Tape tape(ctx, TapeMode::training, 5,
            {.complete = [&](Parameter& p) { completed.push_back(p.name); }});
  Var loss = built->trained().loss(tape, batch);
  tape.backward(loss);
  EXPECT_EQ(completed.front(), "items_out");
  EXPECT_EQ(std::ranges::count(completed, "items"), 0);  // it has rows alone
}

// Values come bucket by bucket, and gradients leave the other way round: neither may wait for what
// lies further on.
TEST(AttentionRnn, ReadsParametersInTheOrderOfDeclarationAndCompletesThemInTheOtherOne) {
  for (const Form& form : {Form{}, Form{{"model.cell", "lstm"}, {"model.tied", "no"}},
                           Form{{"model.attention", "query"}, {"model.score", "cosine"}}}) {
    Context ctx(Device::cpu, 1);
    Form settings = form;
    settings["model.layers"] = "3";
    auto built = build(ctx, settings);
    std::vector<int> read, completed;
    built->store.set_before_read([&](const Parameter& p) {
      if (completed.empty() && std::ranges::find(read, p.index) == read.end())
        read.push_back(p.index);
    });
    const auto fetch_rows = [&](Parameter&, const Tensor& id_U) -> FetchedRows {
      Tensor row_UD = ctx.empty(DType::f32, {id_U.dim(0), 8});
      fill(ctx, row_UD, 0.1f);
      return {row_UD, [](const Tensor&) {}};
    };
    const Batch batch = packed_batch(ctx, kSequences);
    Tape tape(ctx, TapeMode::training, 5,
              {.complete = [&](Parameter& p) { completed.push_back(p.index); },
               .fetch_rows = fetch_rows});
    Var loss = built->trained().loss(tape, batch);
    EXPECT_EQ(built->store.parameters()[read.back()].name,
              form.contains("model.tied") ? "items_out" : "items");
    tape.backward(loss);
    const auto layer = [&](int index) {  // reads all of its parameters, and completes them, at once
      const std::string& name = built->store.parameters()[index].name;
      return name.substr(0, name.rfind('.'));
    };
    const auto in_order = [&](int a, int b) { return a < b || layer(a) == layer(b); };
    for (std::size_t i = 1; i < read.size(); ++i)
      EXPECT_TRUE(in_order(read[i - 1], read[i])) << testing::PrintToString(read);
    for (std::size_t i = 1; i < completed.size(); ++i)
      EXPECT_TRUE(in_order(completed[i], completed[i - 1])) << testing::PrintToString(completed);
  }
}

TEST(AttentionRnn, OnlyTheForgetGateOfAnLstmStartsWithABias) {
  Context ctx(Device::cpu, 1);
  for (const char* cell : {"gru", "lstm"}) {
    auto built = build(ctx, {{"model.cell", cell}});
    for (const Parameter& p : built->store.parameters()) {
      if (!p.name.starts_with("rnn.0.b_")) continue;
      const auto b = p.value().span<float>();
      const bool forgets = p.name == "rnn.0.b_x" && std::string(cell) == "lstm";
      for (std::size_t i = 0; i < b.size(); ++i)
        EXPECT_EQ(b[i], forgets && i / 8 == 1 ? 1.0f : 0.0f) << p.name << " " << i;
    }
  }
}

TEST(AttentionRnn, ScoresOfOneSequenceDoNotDependOnTheOthers) {
  Context ctx(Device::cpu, 1);
  auto built = build(ctx, {});
  const Batch all = packed_batch(ctx, kSequences);
  Tensor all_BV = ctx.empty(DType::f32, {3, 11});
  built->model->score_next(ctx, all, all_BV);
  for (int b = 0; b < 3; ++b) {
    const Batch one = packed_batch(ctx, {kSequences[b]});
    Tensor one_BV = ctx.empty(DType::f32, {1, 11});
    built->model->score_next(ctx, one, one_BV);
    for (int v = 0; v < 11; ++v)
      EXPECT_NEAR(one_BV.data<float>()[v], all_BV.data<float>()[b * 11 + v], 1e-5);
  }
}

TEST(AttentionRnn, EmptyBatchHasNoLossAndNoGradient) {
  Context ctx(Device::cpu, 1);
  auto built = build(ctx, {});
  const Batch batch = packed_batch(ctx, {});
  fill(ctx, built->store.gradients(), 0);
  int completed = 0;
  Tape tape(ctx, TapeMode::training, 5, {.complete = [&](Parameter&) { ++completed; }});
  Var loss = built->trained().loss(tape, batch);
  tape.backward(loss);
  EXPECT_EQ(loss.value().span<double>()[0], 0);
  EXPECT_EQ(completed, static_cast<int>(built->store.parameters().size()));
  for (float g : built->store.gradients().span<float>()) ASSERT_EQ(g, 0.0f);
}

// Model FLOPs are what speeds are stated in: a product counted twice would double them.
TEST(AttentionRnn, CountsEveryProductOfForwardAndBackwardOnce) {
  Context ctx(Device::cpu, 1);
  auto built = build(ctx, {});
  const Batch batch = packed_batch(ctx, kSequences);
  Profile profile;
  ctx.set_profile(&profile);
  Tape tape(ctx, TapeMode::training, 5);
  Var loss = built->trained().loss(tape, batch);
  tape.backward(loss);
  const double n = batch.events, b = batch.sequences, d = 8, v = 11;
  const double recurrence = 6 * 3 * d * d * (n + (n - b));  // no state before a first event
  const double attention = 6 * n * (d * d + d);
  const double output = 6 * n * 2 * d * d;
  EXPECT_EQ(profile.flops, recurrence + attention + output + 6 * n * v * d);
  EXPECT_EQ(profile.operators.at("softmax_cross_entropy").calls, 1);
}

TEST(AttentionRnn, DropoutDependsOnPlaceAndOnNothingElse) {
  Context ctx(Device::cpu, 1);
  auto built = build(ctx, {{"model.dropout", "0.5"}});
  const double first = loss_of(ctx, *built, packed_batch(ctx, kSequences, 0));
  EXPECT_EQ(first, loss_of(ctx, *built, packed_batch(ctx, kSequences, 0)));
  EXPECT_NE(first, loss_of(ctx, *built, packed_batch(ctx, kSequences, 100)));
}

TEST(Models, AnUnknownNameListsThoseThereAre) {
  try {
    find_model("atention_rnn");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.exit_code(), 2);
    EXPECT_NE(std::string(error.what()).find("attention_rnn"), std::string::npos);
  }
}

}  // namespace
}  // namespace seqrank
