// interest_transfer: one encoder for several scenes (domains). A recurrence over items with scene
// vectors, then masked multi-head attention, gives a context c_t, which is asked three things:
//   which interests come next:  sigmoid(dense(ReLU(dense(c_t)))), several at once
//   the transition:             p(y_{t+1} | y_t) = softmax(W_p [c_t ; y_t] + b) over interests
//   which item comes next:      the item table's scores of [h_t ; c_t] projected
// An interest is an id of each item: its category, or a group that `seqrank prepare --interests`
// found. Unknown interests, id 0, are read and never predicted: they are no label, no target of the
// transition, and nothing to recommend. Joint training is the sum of the three losses; pre-training
// on source scenes and tuning on the target is train.init_from, train.freeze and train.rate_scale.
// Scores of items may be changed by the transition: log p(y(v) | y_t), or the likeliest interest's
// items before all others.
#include <algorithm>
#include <cmath>

#include "backend/ops/embedding.h"
#include "backend/ops/matmul.h"
#include "backend/transfer.h"
#include "models/nn/attention_weights.h"
#include "models/nn/input_layer.h"
#include "models/nn/item_ranker.h"
#include "models/nn/layers.h"
#include "models/nn/losses.h"

namespace seqrank {
namespace {

class InterestTransfer final : public AttentiveRanker {
 public:
  static std::vector<OptionSpec> options() {
    std::vector<OptionSpec> specs = {
        {"model.width", OptionKind::integer, "64", "width of item vectors and states", "1..8192"},
        {"model.layers", OptionKind::integer, "1", "recurrent layers", "1..16"},
        {"model.cell", OptionKind::choice, "lstm", "recurrent cell", "gru|lstm"},
        {"model.heads", OptionKind::integer, "2", "of attention; they divide the width", "1..256"},
        {"model.dropout", OptionKind::real, "0.2",
         "dropout on the input, between layers and on the output state", "0..0.95"},
        {"model.interest", OptionKind::text, "interest",
         "feature of items that is their interest; none: items alone"},
        {"model.ahead", OptionKind::integer, "5",
         "events in which the interests that come next are looked for", "1..1000"},
        {"model.interest_weight", OptionKind::real, "0.1",
         "of the loss of interests that come next", "0..1000"},
        {"model.transition_weight", OptionKind::real, "0.1", "of the loss of the transition",
         "0..1000"},
        {"model.recommend", OptionKind::choice, "items",
         "items: by their scores; weighted: log p(interest) added to them; within: those of the "
         "likeliest interest first",
         "items|weighted|within"},
    };
    for (OptionSpec& spec : InputLayer::options("none")) specs.push_back(std::move(spec));
    for (OptionSpec& spec : ItemTable::options()) specs.push_back(std::move(spec));
    return specs;
  }

  explicit InterestTransfer(const ModelInput& input)
      : AttentiveRanker(input, input.options.integer("model.width")),
        width_(input.options.integer("model.width")),
        heads_(input.options.integer("model.heads")),
        cell_(input.options.text("model.cell") == "lstm" ? Cell::lstm : Cell::gru),
        dropout_(static_cast<float>(input.options.real("model.dropout"))),
        interest_weight_(static_cast<float>(input.options.real("model.interest_weight"))),
        transition_weight_(static_cast<float>(input.options.real("model.transition_weight"))),
        ahead_(input.options.integer("model.ahead")),
        recommend_(input.options.text("model.recommend")),
        input_(input, width_) {
    SR_CHECK(width_ % heads_ == 0, ErrorKind::usage,
             "--model.heads={}: must divide --model.width={}", heads_, width_);
    find_interests(input);
    ParameterStore& store = input.parameters;
    for (std::int64_t i = 0; i < input.options.integer("model.layers"); ++i)
      layers_.push_back(
          nn::declare_recurrence(store, "rnn." + std::to_string(i), cell_, width_, width_));
    query_ = &store.declare("attention.q", {width_, width_}, Initialiser::by_fan_in(width_));
    key_ = &store.declare("attention.k", {width_, width_}, Initialiser::by_fan_in(width_));
    value_ = &store.declare("attention.v", {width_, width_}, Initialiser::by_fan_in(width_));
    if (interests_ > 0) declare_interests(store);
    w_out_ = &store.declare("output.w", {width_, 2 * width_}, Initialiser::by_fan_in(2 * width_));
    b_out_ = &store.declare("output.b", {width_}, {}, Decay::no);
    items_.declare_output(input.options, store);
  }

  BatchNeeds needs() const override {
    BatchNeeds needs = items_.needs(input_.needs());
    if (interests_ == 0) return needs;
    for (const std::string& column : {item_column_, target_column_})
      if (std::ranges::find(needs.columns, column) == needs.columns.end())
        needs.columns.push_back(column);
    needs.ahead_column = target_column_;
    needs.ahead = ahead_;
    return needs;
  }

  Var loss(Tape& tape, const Batch& batch) override {
    const Encoded encoded = read(tape, batch, nullptr);
    Var loss = items_.loss(tape, encoded.state_ND, batch);
    if (interests_ == 0) return loss;
    if (interest_weight_ > 0)
      loss = nn::add_losses(
          tape, loss,
          nn::binary_cross_entropy(tape, next_interests(tape, encoded.context_ND), batch.ahead_NK,
                                   batch.global_targets * interests_, interest_weight_));
    if (transition_weight_ > 0) {
      const Var state_MD = nn::select_rows(tape, transition_state(tape, encoded.context_ND, batch),
                                           batch.known_next.event_M);
      loss = nn::add_losses(tape, loss,
                            nn::softmax_loss(tape, state_MD, Var(*w_next_), batch.known_next.id_M,
                                             batch.global_targets, {}, transition_weight_));
    }
    return loss;
  }

  void score_next(Context& ctx, const Batch& batch, Tensor& score_BV) override {
    if (recommend_ == "items") return AttentiveRanker::score_next(ctx, batch, score_BV);
    Tape tape(ctx, TapeMode::inference, 0);
    const Encoded encoded = read(tape, batch, nullptr);
    const Var last_BD = nn::select_rows(tape, encoded.state_ND, batch.last_B);
    items_.scores(ctx, score_BV, items_.scored_states(ctx, last_BD.value()));
    Tensor logit_BI = transition_logits(tape, batch, encoded.context_ND);
    if (recommend_ == "within")
      put_likeliest_first(ctx, logit_BI, score_BV);
    else
      raise_by_interest(ctx, std::move(logit_BI), score_BV);
  }

  Tensor next_states(Context& ctx, const Batch& batch, const TapeHooks& hooks) override {
    SR_CHECK(recommend_ == "items", ErrorKind::usage,
             "--model.recommend={}: scores are more than states and vectors, which a split table "
             "does not do; give --table.split=no",
             recommend_);
    return AttentiveRanker::next_states(ctx, batch, hooks);
  }
  bool by_state_alone() const override { return recommend_ == "items"; }

 private:
  struct Encoded {
    Var context_ND;  // c
    Var state_ND;    // what meets the items
  };

  void find_interests(const ModelInput& input) {
    const std::string& name = input.options.text("model.interest");
    if (name == "none") {
      SR_CHECK(recommend_ == "items", ErrorKind::usage,
               "--model.recommend={}: needs interests; --model.interest names them", recommend_);
      return;
    }
    item_column_ = "item." + name;
    target_column_ = "target." + name;
    const auto column = input.columns.find(item_column_);
    SR_CHECK(column != input.columns.end() && column->second > 1, ErrorKind::usage,
             "--model.interest={}: items have no such feature; `seqrank prepare --interests=K` "
             "finds some, --model.interest=none does without",
             name);
    interests_ = column->second;
    if (recommend_ != "items") interest_V_ = input.item_feature(name);
  }

  void declare_interests(ParameterStore& store) {
    w_dense_ = &store.declare("interest.dense.w", {width_, width_}, Initialiser::by_fan_in(width_));
    b_dense_ =
        &store.declare("interest.dense.b", {width_}, Initialiser::by_fan_in(width_), Decay::no);
    w_label_ =
        &store.declare("interest.label.w", {interests_, width_}, Initialiser::by_fan_in(width_));
    b_label_ = &store.declare("interest.label.b", {interests_}, {}, Decay::no);
    // Of W_p [c ; y] + b the part of y, with b, is a vector of logits for each interest; here it is
    // a product, so that its number of parameters is as that of the rest.
    from_ = &store.declare("transition.from", {interests_, width_}, Initialiser::by_fan_in(width_));
    w_next_ = &store.declare("transition.next", {interests_, 2 * width_},
                             Initialiser::by_fan_in(2 * width_));
    for (Parameter* of_interests : {w_label_, b_label_, from_, w_next_})
      of_interests->by_column = item_column_;
  }

  Var encode(Tape& tape, const Batch& batch, Tensor* weight_N) override {
    return read(tape, batch, weight_N).state_ND;
  }

  Encoded read(Tape& tape, const Batch& batch, Tensor* weight_N) {
    Var h_ND = nn::dropout(tape, input_(tape, items_, batch), dropout_, batch);
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      if (i > 0) h_ND = nn::dropout(tape, h_ND, dropout_, batch);
      h_ND = nn::recurrence(tape, cell_, h_ND, layers_[i], batch);
    }
    Var q_ND = nn::linear(tape, h_ND, *query_, nullptr);
    Var k_ND = nn::linear(tape, h_ND, *key_, nullptr);
    Var v_ND = nn::linear(tape, h_ND, *value_, nullptr);
    if (weight_N)
      *weight_N = nn::weights_of_heads(tape.ctx(), heads_, q_ND.value(), k_ND.value(), batch);
    const Var c_ND = nn::multi_head_attention(tape, {}, 0, heads_, q_ND, k_ND, v_ND, batch);
    Var state = nn::dropout(tape, nn::concatenate(tape, h_ND, c_ND), dropout_, batch);
    return {c_ND, nn::linear(tape, state, *w_out_, b_out_)};
  }

  Var next_interests(Tape& tape, Var c_ND) {
    Var dense = nn::activate(tape, Activation::relu, nn::linear(tape, c_ND, *w_dense_, b_dense_));
    return nn::linear(tape, dense, *w_label_, b_label_);
  }

  Var transition_state(Tape& tape, Var c_ND, const Batch& batch) {
    return nn::concatenate(tape, c_ND, nn::embedding(tape, *from_, batch.ids.at(item_column_)));
  }

  // What the last event of each sequence says of the next interest, in host memory.
  Tensor transition_logits(Tape& tape, const Batch& batch, Var c_ND) {
    Context& ctx = tape.ctx();
    const Var state_ND = transition_state(tape, c_ND, batch);
    Tensor state_BD = ctx.empty(DType::f32, {batch.sequences, 2 * width_});
    gather_rows(ctx, state_BD, state_ND.value(), batch.last_B);
    Tensor logit_BI = ctx.empty(DType::f32, {batch.sequences, interests_});
    matmul(ctx, logit_BI, state_BD, Transpose::no, w_next_->value(), Transpose::yes, 1, 0);
    return to_host(ctx, logit_BI);
  }

  // score_BV += bonus_BI of the item's interest: a product with the items' interests as rows of
  // ones and zeros.
  void raise_by_interest(Context& ctx, Tensor bonus_BI, Tensor& score_BV) {
    for (std::int64_t b = 0; b < bonus_BI.dim(0); ++b)
      to_bonus({bonus_BI.data<float>() + b * interests_, static_cast<std::size_t>(interests_)});
    if (!member_VI_) {
      const auto items = static_cast<std::int64_t>(interest_V_.size());
      Tensor member_VI(ctx.host_arena(), DType::f32, {items, interests_}, Tag::workspace);
      std::ranges::fill(member_VI.span<float>(), 0.0f);
      for (std::int64_t v = 0; v < items; ++v)
        member_VI.data<float>()[v * interests_ + interest_V_[v]] = 1;
      member_VI_ = to_device(ctx, member_VI);
    }
    matmul(ctx, score_BV, to_device(ctx, bonus_BI), Transpose::no, member_VI_, Transpose::yes, 1,
           1);
  }

  // Logits to log p. Of an unknown interest, which is never predicted: log of the mean p.
  static void to_bonus(std::span<float> logit_I) {
    const auto known = logit_I.subspan(1);
    const float most = *std::ranges::max_element(known);
    double sum = 0;
    for (const float x : known) sum += std::exp(static_cast<double>(x - most));
    const auto log_sum = static_cast<float>(most + std::log(sum));
    for (float& x : known) x -= log_sum;
    logit_I[0] = -std::log(static_cast<float>(known.size()));
  }

  // Items of other interests than the likeliest fall below it by the least step that does. On the
  // host: the step is of each sequence, for one that fits all would round scores to each other.
  void put_likeliest_first(Context& ctx, const Tensor& logit_BI, Tensor& score_BV) const {
    Tensor host_BV = to_host(ctx, score_BV);
    for (std::int64_t b = 0; b < logit_BI.dim(0); ++b) {
      const auto logit_I = logit_BI.span<float>().subspan(b * interests_, interests_);
      const auto known = logit_I.subspan(1);
      const auto likeliest = 1 + (std::ranges::max_element(known) - known.begin());
      const auto score_V = host_BV.span<float>().subspan(b * host_BV.dim(1), host_BV.dim(1));
      float lowest = INFINITY, highest = -INFINITY;  // of the likeliest, of the others
      for (std::size_t v = 0; v < score_V.size(); ++v)
        if (interest_V_[v] == likeliest)
          lowest = std::min(lowest, score_V[v]);
        else
          highest = std::max(highest, score_V[v]);
      if (highest < lowest) continue;
      const float step = highest - lowest + 1;
      for (std::size_t v = 0; v < score_V.size(); ++v)
        if (interest_V_[v] != likeliest) score_V[v] -= step;
    }
    copy_to_device(ctx, score_BV, host_BV);
  }

  std::int64_t width_;
  std::int64_t heads_;
  Cell cell_;
  float dropout_;
  float interest_weight_;
  float transition_weight_;
  std::int64_t ahead_;
  std::string recommend_;
  InputLayer input_;
  std::int64_t interests_ = 0;               // I
  std::string item_column_, target_column_;  // interests of events and of what follows them
  std::vector<std::int32_t> interest_V_;     // only where recommending asks for it
  Tensor member_VI_;                         // ones where the item has the interest
  std::vector<nn::RecurrenceParameters> layers_;
  Parameter *query_, *key_, *value_;
  Parameter *w_dense_ = nullptr, *b_dense_ = nullptr, *w_label_ = nullptr, *b_label_ = nullptr;
  Parameter *from_ = nullptr, *w_next_ = nullptr;
  Parameter *w_out_, *b_out_;
};

SR_REGISTER_MODEL("interest_transfer", InterestTransfer,
                  "recurrent encoder shared by scenes, with heads for interests and transitions");

}  // namespace
}  // namespace seqrank
