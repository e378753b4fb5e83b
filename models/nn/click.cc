// Item vectors, labels and the head of click-through models.
#include "models/nn/click.h"

#include <algorithm>

#include "backend/ops/embedding.h"
#include "backend/transfer.h"
#include "models/nn/losses.h"

namespace seqrank {
namespace {

constexpr std::int64_t kRows = 1 << 14;  // sequences times candidates, scored at once

// Row m of the result: row_of(m) of x.
template <class F>
Var repeated(Context& ctx, const Tensor& x, std::int64_t rows, F row_of) {
  Tensor row_M(ctx.host_arena(), DType::i32, {rows}, Tag::batch);
  auto row = row_M.span<std::int32_t>();
  for (std::int64_t m = 0; m < rows; ++m) row[m] = static_cast<std::int32_t>(row_of(m));
  Tensor y = ctx.empty(DType::f32, {rows, x.dim(1)});
  gather_rows(ctx, y, x, to_device(ctx, row_M));
  return Var(y);
}

}  // namespace

std::vector<OptionSpec> ClickInput::options() {
  std::vector<OptionSpec> specs = InputLayer::options("none");
  specs.push_back({"model.target_input", OptionKind::text, "none",
                   "what is added to the item one is asked about: columns of the data called "
                   "target.NAME, as NAME,..., or none"});
  specs.push_back({"model.user_input", OptionKind::text, "none",
                   "what the last layers are told of the person: columns user.NAME, likewise"});
  specs.push_back({"model.item_scale", OptionKind::real, "0.05",
                   "standard deviation of the initial item vectors", "0..10"});
  return specs;
}

ClickInput::ClickInput(const ModelInput& input, std::int64_t width)
    : table_VD_(&input.parameters.declare(
          "items", {input.items, width},
          {Initialiser::Kind::normal, static_cast<float>(input.options.real("model.item_scale"))},
          Decay::yes, Access::rows)),
      label_D1_(&input.parameters.declare(
          "input.label", {width, 1},
          {Initialiser::Kind::normal, static_cast<float>(input.options.real("model.item_scale"))})),
      event_columns_(input, "model.input", "", width),
      target_columns_(input, "model.target_input", "target.", width),
      user_columns_(input, "model.user_input", "user.", width) {
  table_VD_->by_item = true;
}

BatchNeeds ClickInput::needs() const {
  BatchNeeds needs;
  needs.labels = true;
  needs.target_rows = true;
  for (const ColumnVectors* columns : {&event_columns_, &target_columns_, &user_columns_})
    columns->add_needs(needs);
  return needs;
}

Var ClickInput::dressed_events(Tape& tape, Var event_ND, const Batch& batch) const {
  SR_CHECK(static_cast<bool>(batch.label_N), ErrorKind::data,
           "click-through models read labels of events, and the data set has none");
  const Var label_N1(batch.label_N.reshape({batch.events, 1}));
  event_ND = nn::add(tape, event_ND, nn::linear(tape, label_N1, *label_D1_, nullptr));
  return event_columns_.add_to(tape, event_ND, batch);
}

ClickInput::Vectors ClickInput::operator()(Tape& tape, const Batch& batch) const {
  const Var event_ND = nn::embedding(tape, *table_VD_, batch.item_N, batch.item_rows);
  const Var target_ND = nn::embedding(tape, *table_VD_, batch.target_N, batch.target_rows);
  return {dressed_events(tape, event_ND, batch), target_columns_.add_to(tape, target_ND, batch),
          user_columns_.add_to(tape, {}, batch)};
}

ClickInput::Vectors ClickInput::history(Tape& tape, const Batch& batch) const {
  const Var event_ND = nn::embedding(tape, *table_VD_, batch.item_N, {});
  return {dressed_events(tape, event_ND, batch), {}, user_columns_.add_to(tape, {}, batch)};
}

Tensor ClickInput::candidates(Context& ctx, std::int64_t begin, std::int64_t end) const {
  SR_CHECK(!has_target_columns(), ErrorKind::usage,
           "--model.target_input: a model that reads columns of targets scores given targets; it "
           "cannot rank the whole catalogue");
  return table_VD_->rows(ctx, begin, end);
}

ClickHead::ClickHead(const ModelInput& input, std::int64_t width, bool has_user, float dropout)
    : mlp_(
          nn::declare_mlp(input.options, input.parameters, "click", (has_user ? 4 : 3) * width, 1)),
      dropout_(dropout) {}

Var ClickHead::operator()(Tape& tape, Var z_MD, Var x_MD, Var user_MD, const Batch& batch) const {
  Var joined =
      nn::concatenate(tape, nn::concatenate(tape, z_MD, x_MD), nn::multiply(tape, z_MD, x_MD));
  if (user_MD) joined = nn::concatenate(tape, joined, user_MD);
  return nn::mlp(tape, joined, mlp_, dropout_, batch);
}

Var click_loss(Tape& tape, Var logit_N1, const Batch& batch) {
  SR_CHECK(static_cast<bool>(batch.target_label_N), ErrorKind::data,
           "click-through models learn from labels of targets, and the data set has none");
  return nn::binary_cross_entropy(tape, logit_N1, batch.target_label_N.reshape({batch.events, 1}),
                                  batch.global_targets);
}

Var ClickScorer::loss(Tape& tape, const Batch& batch) {
  return click_loss(tape, logits(tape, batch), batch);
}

void ClickScorer::score_targets(Context& ctx, const Batch& batch, Tensor& logit_N) {
  Tape tape(ctx, TapeMode::inference, 0);
  copy(ctx, logit_N, logits(tape, batch).value().reshape({batch.events}));
}

Var after_last_events(Context& ctx, const Tensor& x_ND, const Batch& batch,
                      std::int64_t candidates) {
  Tensor last_BD = ctx.empty(DType::f32, {batch.sequences, x_ND.dim(1)});
  gather_rows(ctx, last_BD, x_ND, batch.last_B);
  return repeated(ctx, last_BD, batch.sequences * candidates,
                  [=](std::int64_t row) { return row / candidates; });
}

void score_catalogue(Tape& tape, Tensor& score_BV, const Batch& batch, const ClickInput& input,
                     Var user_ND, const ClickHead& head, const MeetCandidates& meet) {
  Context& ctx = tape.ctx();
  const std::int64_t b = batch.sequences, v = input.items();
  if (b == 0) return;
  const std::int64_t most = std::max<std::int64_t>(1, kRows / b);
  for (std::int64_t begin = 0; begin < v; begin += most) {
    const std::int64_t c = std::min(most, v - begin);
    const Tensor x_CD = input.candidates(ctx, begin, begin + c);
    const Var x_MD = repeated(ctx, x_CD, b * c, [=](std::int64_t row) { return row % c; });
    const Var user_MD = user_ND ? after_last_events(ctx, user_ND.value(), batch, c) : Var();
    const Var logit_M1 = head(tape, meet(x_CD), x_MD, user_MD, batch);
    copy_into_columns(ctx, score_BV, begin, logit_M1.value().reshape({b, c}));
  }
}

}  // namespace seqrank
