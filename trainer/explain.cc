// Scores of the whole history, then of the history without each event, some at a time.
#include "trainer/explain.h"

#include <algorithm>

#include "backend/ops/activation.h"
#include "backend/ops/top_k.h"
#include "backend/transfer.h"
#include "data/leave_one_out.h"

namespace seqrank {
namespace {

constexpr std::int64_t kScoreElements = 4 << 20;  // of one block of scores: 16 MiB

struct Asked {
  std::int64_t item;
  float score;
  std::int64_t rank;
};

// The best k, or the one item with its place.
std::vector<Asked> asked_items(Context& ctx, const Dataset& dataset, const EvaluationBatch& history,
                               const Tensor& score_1V, std::int64_t k,
                               const std::optional<std::string>& key,
                               const EvaluateOptions& options) {
  Tensor ranked_1V = ctx.empty(DType::f32, score_1V.shape());
  copy(ctx, ranked_1V, score_1V);
  Tensor target_1;
  std::int64_t item = 0;
  if (key) {
    const auto found = dataset.find_item(*key);
    SR_CHECK(found, ErrorKind::usage, "--item={}: {} has no such item", *key, dataset.path());
    item = *found;
    Tensor host_1(ctx.host_arena(), DType::i32, {1}, Tag::workspace);
    host_1.data<std::int32_t>()[0] = static_cast<std::int32_t>(item);
    target_1 = to_device(ctx, host_1);
  }
  if (options.seen == Seen::masked)
    mask_items(ctx, ranked_1V, history.seen_M, history.seen_offset_B1, target_1);
  if (key) {
    Tensor rank_1 = ctx.empty(DType::i32, {1}), tied_1 = ctx.empty(DType::i32, {1});
    rank_of(ctx, rank_1, tied_1, ranked_1V, target_1);
    const Tensor rank = to_host(ctx, rank_1), score_V = to_host(ctx, score_1V);
    return {{item, score_V.data<float>()[item], rank.data<std::int32_t>()[0]}};
  }
  k = std::min(k, dataset.items());
  Tensor value_1K = ctx.empty(DType::f32, {1, k}), id_1K = ctx.empty(DType::i32, {1, k});
  top_k(ctx, value_1K, id_1K, ranked_1V);
  const Tensor value = to_host(ctx, value_1K), id = to_host(ctx, id_1K);
  std::vector<Asked> best;
  for (std::int64_t i = 0; i < k && id.data<std::int32_t>()[i] >= 0; ++i)
    best.push_back({id.data<std::int32_t>()[i], value.data<float>()[i], i + 1});
  return best;
}

// effect[a][e]: of leaving event e out on the score of asked item a.
std::vector<std::vector<double>> effects(Context& ctx, Model& model, const Batch& host_one,
                                         std::int64_t events, std::int64_t items,
                                         const std::vector<Asked>& asked) {
  std::vector<std::vector<double>> effect(asked.size());
  const std::int64_t block = std::clamp<std::int64_t>(kScoreElements / items, 1, events);
  for (std::int64_t begin = 0; begin < events; begin += block) {
    const std::int64_t end = std::min(events, begin + block);
    const Batch without = to_device(ctx, leave_one_out(ctx.host_arena(), host_one, begin, end));
    Tensor score_BV = ctx.empty(DType::f32, {end - begin, items});
    model.score_next(ctx, without, score_BV);
    const Tensor host_BV = to_host(ctx, score_BV);
    for (std::size_t a = 0; a < asked.size(); ++a)
      for (std::int64_t b = 0; b < end - begin; ++b)
        effect[a].push_back(double{asked[a].score} -
                            host_BV.data<float>()[b * items + asked[a].item]);
  }
  return effect;
}

}  // namespace

std::vector<Explanation> explain(Context& ctx, Model& model, const Dataset& dataset,
                                 const std::vector<std::string>& users, std::int64_t k,
                                 const std::optional<std::string>& item,
                                 const EvaluateOptions& options) {
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
    const EvaluationBatch history = to_device(ctx, host);
    Tensor score_1V = ctx.empty(DType::f32, {1, dataset.items()});
    model.score_next(ctx, history.batch, score_1V);
    const auto asked = asked_items(ctx, dataset, history, score_1V, k, item, options);
    const auto effect = effects(ctx, model, host.batch, events, dataset.items(), asked);
    Tensor weight_N;
    if (auto* attention = dynamic_cast<AttentionModel*>(&model))
      weight_N = attention->attention_weights(ctx, history.batch);
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
