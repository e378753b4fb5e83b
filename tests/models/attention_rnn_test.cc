// attention_rnn besides what model_forms_test.cc checks of every model: the order in which it reads
// and completes parameters, its biases, its products, its dropout.
#include <gtest/gtest.h>

#include <algorithm>

#include "backend/ops/activation.h"
#include "tests/models/built_model.h"
#include "tests/support/packed_batch.h"

namespace seqrank {
namespace {

using Form = std::map<std::string, std::string>;
const std::vector<std::vector<int>> kSequences = {{1, 2, 3, 4, 5, 6}, {7, 3}, {0, 10, 2, 2}};

TEST(AttentionRnn, EveryParameterIsCompleteExactlyOnceAndTheTiedTableFirst) {
  Context ctx(Device::cpu, 1);
  auto built = build(ctx, "attention_rnn", {{"model.layers", "2"}});
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
  auto built = build(ctx, "attention_rnn", {{"model.tied", "no"}});
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
    auto built = build(ctx, "attention_rnn", settings);
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
    auto built = build(ctx, "attention_rnn", {{"model.cell", cell}});
    for (const Parameter& p : built->store.parameters()) {
      if (!p.name.starts_with("rnn.0.b_")) continue;
      const auto b = p.value().span<float>();
      const bool forgets = p.name == "rnn.0.b_x" && std::string(cell) == "lstm";
      for (std::size_t i = 0; i < b.size(); ++i)
        EXPECT_EQ(b[i], forgets && i / 8 == 1 ? 1.0f : 0.0f) << p.name << " " << i;
    }
  }
}

// Model FLOPs are what speeds are stated in: a product counted twice would double them.
TEST(AttentionRnn, CountsEveryProductOfForwardAndBackwardOnce) {
  Context ctx(Device::cpu, 1);
  auto built = build(ctx, "attention_rnn", {});
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
  auto built = build(ctx, "attention_rnn", {{"model.dropout", "0.5"}});
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
