// What is looked up and scored is left to layers and losses, which know what is where.
#include "models/nn/item_table.h"

#include "backend/ops/embedding.h"
#include "backend/ops/l2_normalise.h"
#include "backend/ops/matmul.h"
#include "models/nn/layers.h"
#include "models/nn/losses.h"
#include "models/nn/tiled_softmax.h"

namespace seqrank {
namespace {

// A larger table is scored in tiles: a third more operations, and memory for a tile. Whole rows are
// faster at every size that was measured (`bench loss`), by 1.4 to 1.5 up to 65,536 items and
// by 1.1 to 1.2 from 131,072 on; but they hold the table and its gradient once more, over 128 MiB
// here, and twice that for every doubling.
constexpr std::int64_t kWholeElements = 16 << 20;

Initialiser initial_items(const Options& options) {
  return {Initialiser::Kind::normal, static_cast<float>(options.real("model.item_scale"))};
}

}  // namespace

std::vector<OptionSpec> ItemTable::options() {
  std::vector<OptionSpec> specs = {
      {"model.tied", OptionKind::flag, "yes", "one item table for input and output"},
      {"model.score", OptionKind::choice, "dot", "how a state meets an item", "dot|cosine"},
      {"model.temperature", OptionKind::real, "1", "scores are divided by it", "0.001..1000"},
      {"model.label_smoothing", OptionKind::real, "0", "share of the target spread over all items",
       "0..0.99"},
      {"model.item_scale", OptionKind::real, "0.02",
       "standard deviation of the initial item vectors", "0..10"},
  };
  for (OptionSpec& spec : loss_options()) specs.push_back(std::move(spec));
  return specs;
}

ItemTable::ItemTable(const Options& options, std::int64_t items, std::int64_t width,
                     ParameterStore& store, MaskRow mask)
    : score_(options.text("model.score") == "cosine" ? Score::cosine : Score::dot),
      choice_(loss_choice(options, items)),
      items_(items),
      input_shape_({mask == MaskRow::yes ? items + 1 : items, width}) {
  softmax_.temperature = static_cast<float>(options.real("model.temperature"));
  softmax_.label_smoothing = static_cast<float>(options.real("model.label_smoothing"));
  const bool tied = options.flag("model.tied");
  if (!tied || choice_.sampled)
    input_ =
        &store.declare("items", input_shape_, initial_items(options), Decay::yes, Access::rows);
  if (tied) output_ = input_;
  if (input_) input_->by_item = input_->may_split = true;
}

void ItemTable::declare_output(const Options& options, ParameterStore& store) {
  if (output_) return;
  if (options.flag("model.tied")) {
    output_ = input_ = &store.declare("items", input_shape_, initial_items(options), Decay::yes,
                                      Access::rows_and_whole);
  } else {
    // Tables that are looked up have the same rows: with drawn negatives this one has the mask's
    // too.
    output_ = &store.declare(
        "items_out", choice_.sampled ? input_shape_ : Shape{items_, input_shape_[1]},
        initial_items(options), Decay::yes, choice_.sampled ? Access::rows : Access::whole);
  }
  output_->by_item = output_->may_split = true;
}

BatchNeeds ItemTable::needs(BatchNeeds others) const {
  others.negatives = choice_.negatives;
  return others;
}

Var ItemTable::lookup(Tape& tape, const Batch& batch) {
  return nn::embedding(tape, *input_, batch.item_N, batch.item_rows);
}

Var ItemTable::loss(Tape& tape, Var h_ND, const Batch& batch) {
  if (choice_.sampled) return sampled_loss(tape, h_ND, batch);
  return loss_at(tape, h_ND, batch.target_N, batch);
}

Var ItemTable::sampled_loss(Tape& tape, Var h_ND, const Batch& batch) {
  SR_ASSERT(static_cast<bool>(batch.negative_S),
            "a batch without negatives: the model's needs() leaves out those of its item table");
  Var row_UD = tape.fetch_rows(*output_, batch.item_rows.id_U);
  if (score_ == Score::cosine) {
    h_ND = nn::l2_normalise(tape, h_ND);
    row_UD = nn::l2_normalise(tape, row_UD);
  }
  Var target_ND = nn::rows_of_events(tape, row_UD, batch.target_rows);
  Var negative_SD = nn::rows_of_events(tape, row_UD, batch.negative_rows);
  Var positive_N = nn::row_dot(tape, h_ND, target_ND);
  return nn::sampled_loss(tape, h_ND, positive_N, negative_SD, batch,
                          choice_.log_q ? batch.negative_log_q_S : Tensor(), *choice_.sampled);
}

Var ItemTable::loss_at(Tape& tape, Var h_MD, const Tensor& target_M, const Batch& batch) {
  SR_CHECK(!choice_.sampled, ErrorKind::usage,
           "--loss.kind: items at chosen places are learned with the exact softmax alone; leave it "
           "at softmax");
  const bool cosine = score_ == Score::cosine;
  if (cosine) h_MD = nn::l2_normalise(tape, h_MD);
  if (output_->split.ranks > 1 || items_ * output_->shape[1] > kWholeElements) {
    const auto length = cosine ? nn::RowLength::one : nn::RowLength::as_is;
    return nn::tiled_softmax_loss(tape, h_MD, {*output_, items_, length}, target_M, batch,
                                  softmax_);
  }
  Var table_VD(*output_, items_);
  if (cosine) table_VD = nn::l2_normalise(tape, table_VD);
  return nn::softmax_loss(tape, h_MD, table_VD, target_M, batch.global_targets, softmax_);
}

Tensor ItemTable::scored_states(Context& ctx, const Tensor& h_BD) const {
  if (score_ == Score::dot) return h_BD;
  Tensor unit_BD = ctx.empty(DType::f32, h_BD.shape());
  Tensor norm_B = ctx.empty(DType::f32, {h_BD.dim(0)});
  l2_normalise(ctx, unit_BD, norm_B, h_BD);
  return unit_BD;
}

void ItemTable::scores(Context& ctx, Tensor& score_BV, const Tensor& h_BD) const {
  SR_ASSERT(split().ranks == 1, "scores of all {} items, of which {} are here", items_,
            rows_here());
  score_rows(ctx, score_BV, h_BD, 0, items_);
}

void ItemTable::score_rows(Context& ctx, Tensor& score_BT, const Tensor& h_BD, std::int64_t begin,
                           std::int64_t end) const {
  score_vectors(ctx, score_BT, h_BD, output_->rows(ctx, begin, end));
}

void ItemTable::score_items(Context& ctx, Tensor& score_BK, const Tensor& h_BD,
                            const Tensor& row_K) const {
  score_vectors(ctx, score_BK, h_BD, vectors(ctx, row_K));
}

Tensor ItemTable::vectors(Context& ctx, const Tensor& row_K) const {
  Tensor row_KD = ctx.empty(DType::f32, {row_K.dim(0), output_->shape[1]});
  gather_rows(ctx, row_KD, output_->value(), row_K);
  return row_KD;
}

void ItemTable::score_vectors(Context& ctx, Tensor& score_BT, const Tensor& h_BD,
                              Tensor row_TD) const {
  if (score_ == Score::cosine) {
    const Tensor as_is_TD = row_TD;
    row_TD = ctx.empty(DType::f32, as_is_TD.shape());
    Tensor norm_T = ctx.empty(DType::f32, {row_TD.dim(0)});
    l2_normalise(ctx, row_TD, norm_T, as_is_TD);
  }
  matmul(ctx, score_BT, h_BD, Transpose::no, row_TD, Transpose::yes, 1 / softmax_.temperature, 0);
}

}  // namespace seqrank
