// Scores of the whole history, then of the history without each event, some at a time.
#include "trainer/explain.h"

#include <algorithm>

#include "backend/ops/activation.h"
#include "backend/ops/top_k.h"
#include "backend/transfer.h"
#include "data/leave_one_out.h"
#include "trainer/table_scan.h"

namespace seqrank {
namespace {

constexpr std::int64_t kScoreElements = 4 << 20;  // of one block of scores: 16 MiB

struct Explained {
  std::int32_t item;
  float score;
  std::int64_t rank;
};

// How a model says what the explanation needs.
class Scores {
 public:
  virtual ~Scores() = default;
  // After the one history of a batch: the best k, or `item` with its place.
  virtual std::vector<Explained> asked(const EvaluationBatch& host, std::int64_t k,
                                       std::optional<std::int32_t> item, Seen seen) = 0;
  // Of some items after each history of a batch, [B, K] in host memory.
  virtual Tensor of(const Batch& host, std::span<const std::int32_t> items) = 0;
  virtual std::int64_t histories_at_once() const = 0;
};

// From the scores of all items.
class AllScores final : public Scores {
 public:
  AllScores(Context& ctx, Model& model, std::int64_t items)
      : ctx_(ctx), model_(model), items_(items) {}

  std::vector<Explained> asked(const EvaluationBatch& host, std::int64_t k,
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
    std::vector<Explained> best;
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
  std::int64_t histories_at_once() const override { return kScoreElements / items_; }

 private:
  Context& ctx_;
  Model& model_;
  std::int64_t items_;
};

// From states, which every rank makes for itself.
class ScoresByStates final : public Scores {
 public:
  ScoresByStates(Context& ctx, StateRanker& model, GradientExchange* exchange)
      : scan_(ctx, model, exchange) {}

  std::vector<Explained> asked(const EvaluationBatch& host, std::int64_t k,
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
    std::vector<Explained> asked;
    for (std::size_t i = 0; i < items.size(); ++i)
      asked.push_back({items[i], score_1K.data<float>()[i],
                       item ? one[0].rank : static_cast<std::int64_t>(i + 1)});
    return asked;
  }
  Tensor of(const Batch& host, std::span<const std::int32_t> items) override {
    return scan_.scores(scan_.own_states(host), items);
  }
  std::int64_t histories_at_once() const override { return TableScan::kStates; }
  Tensor attention(Context& ctx, AttentionModel& model, Batch host) {
    const TapeHooks hooks = scan_.reading(host);
    return model.attention_weights(ctx, to_device(ctx, host), hooks);
  }

 private:
  TableScan scan_;
};

// effect[a][e]: of leaving event e out on the score of asked item a.
std::vector<std::vector<double>> effects(Context& ctx, Scores& scores, const Batch& host_one,
                                         std::int64_t events, const std::vector<Explained>& asked) {
  std::vector<std::int32_t> items;
  for (const Explained& one : asked) items.push_back(one.item);
  std::vector<std::vector<double>> effect(asked.size());
  const auto block = std::clamp<std::int64_t>(scores.histories_at_once(), 1, events);
  for (std::int64_t begin = 0; begin < events; begin += block) {
    const std::int64_t end = std::min(events, begin + block);
    const Tensor score_BK = scores.of(leave_one_out(ctx.host_arena(), host_one, begin, end), items);
    for (std::size_t a = 0; a < asked.size(); ++a)
      for (std::int64_t b = 0; b < end - begin; ++b)
        effect[a].push_back(double{asked[a].score} -
                            score_BK.data<float>()[b * std::ssize(asked) + a]);
  }
  return effect;
}

std::optional<std::int32_t> item_of(const Dataset& dataset, const std::optional<std::string>& key) {
  if (!key) return std::nullopt;
  const auto found = dataset.find_item(*key);
  SR_CHECK(found, ErrorKind::usage, "--item={}: {} has no such item", *key, dataset.path());
  return static_cast<std::int32_t>(*found);
}

}  // namespace

std::vector<Explanation> explain(Context& ctx, Model& model, const Dataset& dataset,
                                 const std::vector<std::string>& users, std::int64_t k,
                                 const std::optional<std::string>& item,
                                 const EvaluateOptions& options, GradientExchange* exchange) {
  std::unique_ptr<Scores> scores;
  ScoresByStates* by_states = nullptr;
  if (StateRanker* ranker = state_ranker(model)) {
    auto made = std::make_unique<ScoresByStates>(ctx, *ranker, exchange);
    by_states = made.get();
    scores = std::move(made);
  } else {
    scores = std::make_unique<AllScores>(ctx, model, dataset.items());
  }
  std::vector<Explanation> result;
  for (const std::string& user : users) {
    const std::int64_t sequence = sequence_of(dataset, user);
    const BatchNeeds needs = model.needs();
    // Those of the history: a model of masked items is asked by one more.
    const std::int64_t events =
        std::min(dataset.length(sequence),
                 options.max_length - (needs.objective == Objective::masked ? 1 : 0));
    SR_CHECK(events >= 2, ErrorKind::data,
             "{}: user {} has {} events; without one of them nothing is left to recommend from",
             dataset.path(), user, events);
    const EvaluationBatch host = history_batch(
        dataset, ctx.host_arena(), std::vector<std::int64_t>{sequence}, options.max_length, needs);
    const auto asked = scores->asked(host, k, item_of(dataset, item), options.seen);
    const auto effect = effects(ctx, *scores, host.batch, events, asked);
    Tensor weight_N;
    if (auto* attention = dynamic_cast<AttentionModel*>(&model))
      weight_N = by_states != nullptr
                     ? by_states->attention(ctx, *attention, host.batch)
                     : attention->attention_weights(ctx, to_device(ctx, host.batch), {});
    for (std::size_t a = 0; a < asked.size(); ++a) {
      Explanation one{user,
                      {asked[a].item, dataset.item_key(asked[a].item),
                       dataset.item_title(asked[a].item), asked[a].score},
                      asked[a].rank,
                      {}};
      for (std::int64_t e = 0; e < events; ++e) {
        const std::int32_t of = host.batch.item_N.span<std::int32_t>()[e];
        one.events.push_back(
            {dataset.item_key(of), dataset.item_title(of),
             weight_N ? std::optional<double>(weight_N.data<float>()[e]) : std::nullopt,
             effect[a][e]});
      }
      result.push_back(std::move(one));
    }
  }
  return result;
}

}  // namespace seqrank
