// By all scores, by states, or by asking for a click on each item.
#include "trainer/history_scores.h"

#include <algorithm>

#include "backend/ops/embedding.h"
#include "backend/ops/top_k.h"
#include "backend/transfer.h"
#include "data/event_columns.h"
#include "trainer/table_scan.h"

namespace seqrank {
namespace {

constexpr std::int64_t kScoreElements = 4 << 20;  // of one block of scores: 16 MiB
constexpr std::int64_t kClickEvents = 1 << 14;    // of one block of histories

// From the scores of all items.
class AllScores final : public HistoryScores {
 public:
  AllScores(Context& ctx, Model& model, std::int64_t items)
      : ctx_(ctx), model_(model), items_(items) {}

  std::vector<PlacedItem> asked(const EvaluationBatch& host, std::int64_t k,
                                std::optional<std::int32_t> item, Seen seen) override {
    const EvaluationBatch history = to_device(ctx_, host);
    Tensor score_1V = ctx_.empty(DType::f32, {1, items_});
    model_.score_next(ctx_, history.batch, score_1V);
    Tensor target_1;
    if (item) {
      Tensor host_1(ctx_.host_arena(), DType::i32, {1}, Tag::workspace);
      host_1.data<std::int32_t>()[0] = *item;
      target_1 = to_device(ctx_, host_1);
    }
    if (seen == Seen::masked)
      mask_items(ctx_, score_1V, history.seen_M, history.seen_offset_B1, target_1);
    if (item) {
      Tensor rank_1 = ctx_.empty(DType::i32, {1}), tied_1 = ctx_.empty(DType::i32, {1});
      rank_of(ctx_, rank_1, tied_1, score_1V, target_1);
      const Tensor rank = to_host(ctx_, rank_1), score_V = to_host(ctx_, score_1V);
      return {{*item, score_V.data<float>()[*item], rank.data<std::int32_t>()[0]}};
    }
    k = std::min(k, items_);
    Tensor value_1K = ctx_.empty(DType::f32, {1, k}), id_1K = ctx_.empty(DType::i32, {1, k});
    top_k(ctx_, value_1K, id_1K, score_1V);
    const Tensor value = to_host(ctx_, value_1K), id = to_host(ctx_, id_1K);
    std::vector<PlacedItem> best;
    for (std::int64_t i = 0; i < k && id.data<std::int32_t>()[i] >= 0; ++i)
      best.push_back({id.data<std::int32_t>()[i], value.data<float>()[i], i + 1});
    return best;
  }
  Tensor of(const Batch& host, std::span<const std::int32_t> items) override {
    Tensor score_BV = ctx_.empty(DType::f32, {host.sequences, items_});
    model_.score_next(ctx_, to_device(ctx_, host), score_BV);
    const Tensor all = to_host(ctx_, score_BV);
    Tensor score_BK(ctx_.host_arena(), DType::f32, {host.sequences, std::ssize(items)},
                    Tag::workspace);
    for (std::int64_t i = 0; i < score_BK.numel(); ++i)
      score_BK.data<float>()[i] =
          all.data<float>()[i / std::ssize(items) * items_ + items[i % std::ssize(items)]];
    return score_BK;
  }
  std::int64_t histories_at_once(std::int64_t) const override { return kScoreElements / items_; }
  std::vector<Tensor> attention(const Batch& host, std::span<const std::int32_t> items) override {
    Tensor weight_N;
    if (auto* attends = dynamic_cast<AttentionModel*>(&model_))
      weight_N = attends->attention_weights(ctx_, to_device(ctx_, host), {});
    return std::vector<Tensor>(items.size(), weight_N);
  }

 private:
  Context& ctx_;
  Model& model_;
  std::int64_t items_;
};

// From states, which every rank makes for itself.
class ScoresByStates final : public HistoryScores {
 public:
  ScoresByStates(Context& ctx, Model& model, StateRanker& ranker, GradientExchange* exchange)
      : ctx_(ctx), attends_(dynamic_cast<AttentionModel*>(&model)), scan_(ctx, ranker, exchange) {}

  std::vector<PlacedItem> asked(const EvaluationBatch& host, std::int64_t k,
                                std::optional<std::int32_t> item, Seen seen) override {
    std::vector<Asked> one(1);
    one[0].target = item.value_or(-1);
    if (seen == Seen::masked)
      for (const std::int32_t hidden : host.seen_M.span<std::int32_t>())
        if (hidden != one[0].target) one[0].hidden.push_back(hidden);
    const Tensor state_1D = scan_.own_states(host.batch);
    scan_.answer(state_1D, one, item ? 0 : k);
    std::vector<std::int32_t> items;
    for (const ScoredItem& scored : one[0].best) items.push_back(scored.item);
    if (item) items = {*item};
    const Tensor score_1K = scan_.scores(state_1D, items);  // as of() makes them
    std::vector<PlacedItem> asked;
    for (std::size_t i = 0; i < items.size(); ++i)
      asked.push_back({items[i], score_1K.data<float>()[i],
                       item ? one[0].rank : static_cast<std::int64_t>(i + 1)});
    return asked;
  }
  Tensor of(const Batch& host, std::span<const std::int32_t> items) override {
    return scan_.scores(scan_.own_states(host), items);
  }
  std::int64_t histories_at_once(std::int64_t) const override { return TableScan::kStates; }
  std::vector<Tensor> attention(const Batch& host, std::span<const std::int32_t> items) override {
    Tensor weight_N;
    if (attends_ != nullptr) {
      Batch batch = host;
      const TapeHooks hooks = scan_.reading(batch);
      weight_N = attends_->attention_weights(ctx_, to_device(ctx_, batch), hooks);
    }
    return std::vector<Tensor>(items.size(), weight_N);
  }

 private:
  Context& ctx_;
  AttentionModel* attends_;
  TableScan scan_;
};

// Logits of a click, each item asked for by itself; their order by the scores of all.
class ClickScores final : public HistoryScores {
 public:
  ClickScores(Context& ctx, Model& model, ClickModel& clicks, const Dataset& dataset)
      : ctx_(ctx),
        clicks_(clicks),
        attends_(dynamic_cast<AttentionModel*>(&model)),
        dataset_(dataset),
        needs_(model.needs()),
        all_(ctx, model, dataset.items()) {}

  std::vector<PlacedItem> asked(const EvaluationBatch& host, std::int64_t k,
                                std::optional<std::int32_t> item, Seen seen) override {
    SR_CHECK(item || clicks_.ranks_catalogue(), ErrorKind::usage,
             "--item is missing: with --model.target_input the model scores given items alone; "
             "name the one to explain");
    std::vector<PlacedItem> asked = {{item.value_or(0), 0, 0}};
    if (clicks_.ranks_catalogue()) asked = all_.asked(host, k, item, seen);
    for (PlacedItem& one : asked)  // as of() makes them
      one.score = of(host.batch, std::span(&one.item, 1)).data<float>()[0];
    return asked;
  }
  Tensor of(const Batch& host, std::span<const std::int32_t> items) override {
    Tensor score_BK(ctx_.host_arena(), DType::f32, {host.sequences, std::ssize(items)},
                    Tag::workspace);
    for (std::int64_t k = 0; k < std::ssize(items); ++k) {
      const Batch batch = about(host, items[k]);
      Tensor logit_N = ctx_.empty(DType::f32, {batch.events});
      clicks_.score_targets(ctx_, batch, logit_N);
      const Tensor host_logit_N = to_host(ctx_, logit_N);
      for (std::int64_t b = 0; b < host.sequences; ++b)
        score_BK.data<float>()[b * std::ssize(items) + k] =
            host_logit_N.data<float>()[host.last_B.span<std::int32_t>()[b]];
    }
    return score_BK;
  }
  std::int64_t histories_at_once(std::int64_t events) const override {
    return kClickEvents / events;
  }
  std::vector<Tensor> attention(const Batch& host, std::span<const std::int32_t> items) override {
    std::vector<Tensor> weights(items.size());
    if (attends_ == nullptr) return weights;
    for (std::size_t k = 0; k < items.size(); ++k)
      weights[k] = attends_->attention_weights(ctx_, about(host, items[k]), {});
    return weights;
  }

 private:
  Batch about(Batch host, std::int32_t item) {
    ask_about(dataset_, ctx_.host_arena(), item, needs_, host);
    return to_device(ctx_, host);
  }

  Context& ctx_;
  ClickModel& clicks_;
  AttentionModel* attends_;
  const Dataset& dataset_;
  BatchNeeds needs_;
  AllScores all_;
};

}  // namespace

std::unique_ptr<HistoryScores> history_scores(Context& ctx, Model& model, const Dataset& dataset,
                                              GradientExchange* exchange) {
  if (StateRanker* ranker = state_ranker(model))
    return std::make_unique<ScoresByStates>(ctx, model, *ranker, exchange);
  if (auto* clicks = dynamic_cast<ClickModel*>(&model))
    return std::make_unique<ClickScores>(ctx, model, *clicks, dataset);
  return std::make_unique<AllScores>(ctx, model, dataset.items());
}

}  // namespace seqrank
