// Scores of the whole history, then of the history without each event, some at a time.
#include "trainer/explain.h"

#include <algorithm>

#include "data/leave_one_out.h"
#include "trainer/history_scores.h"

namespace seqrank {
namespace {

// effect[a][e]: of leaving event e out on the score of asked item a.
std::vector<std::vector<double>> effects(Context& ctx, HistoryScores& scores, const Batch& host_one,
                                         std::int64_t events, const std::vector<PlacedItem>& asked,
                                         std::span<const std::int32_t> items) {
  std::vector<std::vector<double>> effect(asked.size());
  const auto block = std::clamp<std::int64_t>(scores.histories_at_once(events - 1), 1, events);
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
  const auto scores = history_scores(ctx, model, dataset, exchange);
  const auto* attends = dynamic_cast<AttentionModel*>(&model);
  const auto item_id = item_of(dataset, item);
  std::vector<Explanation> result;
  for (const auto& [user, sequence] : people_of(dataset, users)) {
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
    const auto asked = scores->asked(host, k, item_id, options.seen);
    std::vector<std::int32_t> items;
    for (const PlacedItem& one : asked) items.push_back(one.item);
    const auto effect = effects(ctx, *scores, host.batch, events, asked, items);
    const std::vector<Tensor> weight_KN = scores->attention(host.batch, items);
    for (std::size_t a = 0; a < asked.size(); ++a) {
      Explanation one{user,
                      {asked[a].item, dataset.item_key(asked[a].item),
                       dataset.item_title(asked[a].item), asked[a].score},
                      asked[a].rank,
                      attends == nullptr || attends->weights_sum_to_one(),
                      {}};
      for (std::int64_t e = 0; e < events; ++e) {
        const std::int32_t of = host.batch.item_N.span<std::int32_t>()[e];
        one.events.push_back(
            {dataset.item_key(of), dataset.item_title(of),
             weight_KN[a] ? std::optional<double>(weight_KN[a].data<float>()[e]) : std::nullopt,
             effect[a][e]});
      }
      result.push_back(std::move(one));
    }
  }
  return result;
}

}  // namespace seqrank
