// Whole histories in, the best unseen items out.
#include "trainer/recommend.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "backend/ops/embedding.h"
#include "backend/ops/top_k.h"
#include "backend/transfer.h"
#include "trainer/table_scan.h"

namespace seqrank {
namespace {

constexpr std::int64_t kRecentShown = 5;
constexpr std::int64_t kScoreElements = 4 << 20;  // of one block of scores: 16 MiB
constexpr std::int64_t kShortlist = 10;           // times k: what diversity chooses from

std::vector<std::string> recent_titles(const Dataset& dataset, std::int64_t sequence) {
  const std::int64_t shown = std::min(kRecentShown, dataset.length(sequence));
  std::vector<std::int32_t> items(shown);
  dataset.read_items(dataset.begin(sequence) + dataset.length(sequence) - shown, items);
  std::vector<std::string> titles;
  for (std::int32_t item : items) titles.push_back(dataset.item_title(item));
  return titles;
}

// All items but the candidates, once for every row.
void mask_others(Context& ctx, Tensor& score_BV, std::span<const std::int32_t> candidates) {
  const std::int64_t rows = score_BV.dim(0), items = score_BV.dim(1);
  std::vector<bool> may(items, false);
  for (const std::int32_t item : candidates) may[item] = true;
  const std::int64_t others = std::ranges::count(may, false);
  Tensor item_M(ctx.host_arena(), DType::i32, {rows * others}, Tag::workspace);
  Tensor offset_B1(ctx.host_arena(), DType::i32, {rows + 1}, Tag::workspace);
  auto* item = item_M.data<std::int32_t>();
  auto offset = offset_B1.span<std::int32_t>();
  offset[0] = 0;
  for (std::int64_t b = 0; b < rows; ++b) {
    for (std::int64_t v = 0; v < items; ++v)
      if (!may[v]) *item++ = static_cast<std::int32_t>(v);
    offset[b + 1] = static_cast<std::int32_t>((b + 1) * others);
  }
  mask_items(ctx, score_BV, to_device(ctx, item_M), to_device(ctx, offset_B1), Tensor());
}

double cosine(std::span<const float> a, std::span<const float> b) {
  double product = 0, squares_a = 0, squares_b = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    product += double{a[i]} * b[i];
    squares_a += double{a[i]} * a[i];
    squares_b += double{b[i]} * b[i];
  }
  return squares_a > 0 && squares_b > 0 ? product / std::sqrt(squares_a * squares_b) : 0;
}

using List = std::vector<ScoredItem>;

// Vectors [M, D] of some items, in host memory.
using VectorsOf = std::function<Tensor(std::span<const std::int32_t> items)>;

// Of a shortlist in falling order of scores the k items that diversity chooses, in that order.
List diversified(const VectorsOf& vectors_of, const List& shortlist,
                 const RecommendOptions& options) {
  if (shortlist.empty()) return {};
  const auto count = std::ssize(shortlist);
  std::vector<std::int32_t> items;
  for (const ScoredItem& one : shortlist) items.push_back(one.item);
  const Tensor host_MD = vectors_of(items);
  const std::int64_t width = host_MD.dim(1);
  const auto vector = [&](std::int64_t i) {
    return std::span(host_MD.data<float>() + i * width, static_cast<std::size_t>(width));
  };
  const float best = shortlist.front().score, range = best - shortlist.back().score;
  std::vector<double> likeness(count, -1);  // largest cosine with an item that was taken
  std::vector<bool> taken(count, false);
  List chosen;
  while (static_cast<std::int64_t>(chosen.size()) < std::min(options.k, count)) {
    std::int64_t next = -1;
    double most = 0;
    for (std::int64_t i = 0; i < count; ++i) {
      if (taken[i]) continue;
      const double relevance = range > 0 ? 1 - (best - shortlist[i].score) / range : 1;
      const double value = (1 - options.diversity) * relevance -
                           options.diversity * (chosen.empty() ? 0 : likeness[i]);
      if (next < 0 || value > most) next = i, most = value;
    }
    taken[next] = true;
    chosen.push_back(shortlist[next]);
    for (std::int64_t i = 0; i < count; ++i)
      likeness[i] = std::max(likeness[i], cosine(vector(i), vector(next)));
  }
  return chosen;
}

VectorsOf rows_of(Context& ctx, const Tensor& vector_VD) {
  return [&ctx, vector_VD](std::span<const std::int32_t> items) {
    Tensor id_M(ctx.host_arena(), DType::i32, {std::ssize(items)}, Tag::workspace);
    std::ranges::copy(items, id_M.data<std::int32_t>());
    Tensor vector_MD = ctx.empty(DType::f32, {std::ssize(items), vector_VD.dim(1)});
    gather_rows(ctx, vector_MD, vector_VD, to_device(ctx, id_M));
    return to_host(ctx, vector_MD);
  };
}

struct Asking {
  Context& ctx;
  Model& model;
  const Dataset& histories;
  std::span<const std::int64_t> sequences;
  const RecommendOptions& options;
  std::int64_t listed;  // items of each list, at most

  EvaluationBatch batch(std::span<const std::int64_t> of) const {
    return history_batch(histories, ctx.host_arena(), of, options.max_length, model.needs());
  }
};

// Of a model that gives the scores of all items.
std::vector<List> lists_by_scores(const Asking& asking, std::int64_t items) {
  Context& ctx = asking.ctx;
  const EvaluationBatch batch = to_device(ctx, asking.batch(asking.sequences));
  const std::int64_t rows = batch.batch.sequences, listed = asking.listed;
  Tensor score_BV = ctx.empty(DType::f32, {rows, items});
  asking.model.score_next(ctx, batch.batch, score_BV);
  if (asking.options.seen == Seen::masked)
    mask_items(ctx, score_BV, batch.seen_M, batch.seen_offset_B1, Tensor());
  if (asking.options.candidates) mask_others(ctx, score_BV, *asking.options.candidates);
  Tensor value_BK = ctx.empty(DType::f32, {rows, listed});
  Tensor id_BK = ctx.empty(DType::i32, {rows, listed});
  top_k(ctx, value_BK, id_BK, score_BV);
  const Tensor host_value_BK = to_host(ctx, value_BK), host_id_BK = to_host(ctx, id_BK);
  std::vector<List> lists(rows);
  for (std::int64_t i = 0; i < rows * listed; ++i)  // -1: fewer items than asked for
    if (const std::int32_t item = host_id_BK.data<std::int32_t>()[i]; item >= 0)
      lists[i / listed].push_back({host_value_BK.data<float>()[i], item});
  return lists;
}

// Each rank of a group makes the states of its part.
std::vector<List> lists_by_states(const Asking& asking, TableScan& scan) {
  const std::int64_t rows = std::ssize(asking.sequences), ranks = scan.ranks().count();
  const std::int64_t a_rank = (rows + ranks - 1) / ranks;
  const std::int64_t begin = std::min(scan.ranks().place * a_rank, rows);
  const std::int64_t end = std::min(begin + a_rank, rows);
  const EvaluationBatch all = asking.batch(asking.sequences);
  const EvaluationBatch own =
      ranks == 1 ? all : asking.batch(asking.sequences.subspan(begin, end - begin));
  const Tensor state_ND = scan.gathered(scan.own_states(own.batch), a_rank);
  std::vector<Asked> asked(state_ND.dim(0));
  const auto offset_B1 = all.seen_offset_B1.span<std::int32_t>();
  if (asking.options.seen == Seen::masked)
    for (std::int64_t b = 0; b < rows; ++b)
      for (std::int32_t m = offset_B1[b]; m < offset_B1[b + 1]; ++m)
        asked[b].hidden.push_back(all.seen_M.span<std::int32_t>()[m]);
  std::vector<std::int32_t> among;
  if (asking.options.candidates) {
    among = *asking.options.candidates;
    std::ranges::sort(among);
    among.erase(std::ranges::unique(among).begin(), among.end());
  }
  scan.answer(state_ND, asked, asking.listed, asking.options.candidates ? &among : nullptr);
  std::vector<List> lists;
  for (std::int64_t b = 0; b < rows; ++b) lists.push_back(std::move(asked[b].best));
  return lists;
}

}  // namespace

std::int64_t recommend_block(Model& model, std::int64_t items) {
  if (state_ranker(model) != nullptr) return TableScan::kStates;
  return std::clamp<std::int64_t>(kScoreElements / std::max<std::int64_t>(1, items), 1, 256);
}

std::vector<std::vector<RecommendedItem>> best_items(Context& ctx, Model& model,
                                                     const Dataset& dataset,
                                                     const Dataset& histories,
                                                     std::span<const std::int64_t> sequences,
                                                     const RecommendOptions& options,
                                                     GradientExchange* exchange) {
  const bool diverse = options.diversity > 0;
  const std::int64_t items = dataset.items();
  const std::int64_t listed = std::min(items, diverse ? kShortlist * options.k : options.k);
  const Asking asking{ctx, model, histories, sequences, options, listed};
  StateRanker* ranker = state_ranker(model);
  std::optional<TableScan> scan;
  if (ranker != nullptr) scan.emplace(ctx, *ranker, exchange);
  std::vector<List> lists = scan ? lists_by_states(asking, *scan) : lists_by_scores(asking, items);
  VectorsOf vectors_of;
  if (scan)
    vectors_of = [&](std::span<const std::int32_t> of) { return scan->vectors(of); };
  else if (options.vector_VD)
    vectors_of = rows_of(ctx, options.vector_VD);
  SR_CHECK(!diverse || vectors_of, ErrorKind::usage,
           "--diversity={}: the model has no item vectors to tell items apart by",
           options.diversity);
  std::vector<std::vector<RecommendedItem>> result;
  for (List& list : lists) {
    if (diverse) list = diversified(vectors_of, list, options);
    result.emplace_back();
    for (const auto& [score, item] : list)
      result.back().push_back({item, dataset.item_key(item), dataset.item_title(item), score});
  }
  return result;
}

std::vector<RecommendedItem> popular_items(const Dataset& dataset,
                                           const ScenePopularity& popularity, std::int64_t scene,
                                           const RecommendOptions& options) {
  const auto& events_V = popularity.events_V(scene);
  std::vector<std::int32_t> items;
  if (options.candidates) {
    items = *options.candidates;
    std::ranges::sort(items);
    items.erase(std::ranges::unique(items).begin(), items.end());
  } else {
    items.resize(events_V.size());
    std::iota(items.begin(), items.end(), 0);
  }
  std::erase_if(items, [&](std::int32_t item) { return events_V[item] == 0; });
  const auto kept = std::min<std::ptrdiff_t>(options.k, std::ssize(items));
  std::ranges::partial_sort(items, items.begin() + kept, [&](std::int32_t a, std::int32_t b) {
    return events_V[a] != events_V[b] ? events_V[a] > events_V[b] : a < b;
  });
  std::vector<RecommendedItem> best;
  for (std::ptrdiff_t i = 0; i < kept; ++i)
    best.push_back({items[i], dataset.item_key(items[i]), dataset.item_title(items[i]),
                    static_cast<float>(events_V[items[i]])});
  return best;
}

std::vector<Recommendation> recommend(Context& ctx, Model& model, const Dataset& dataset,
                                      std::span<const Person> people,
                                      const RecommendOptions& options, GradientExchange* exchange) {
  std::vector<Recommendation> result;
  std::vector<std::int64_t> sequences;
  std::vector<std::size_t> places;  // in the result, of these
  for (const Person& person : people) {
    result.push_back({person.key, recent_titles(dataset, person.sequence), {}});
    if (dataset.length(person.sequence) > 0) {
      sequences.push_back(person.sequence);
      places.push_back(result.size() - 1);
    } else {
      result.back().items = popular_items(dataset, options.popularity(), -1, options);
    }
  }
  const auto block = static_cast<std::size_t>(recommend_block(model, dataset.items()));
  for (std::size_t begin = 0; begin < sequences.size(); begin += block) {
    const std::size_t count = std::min(block, sequences.size() - begin);
    auto best = best_items(ctx, model, dataset, dataset, std::span(sequences.data() + begin, count),
                           options, exchange);
    for (std::size_t b = 0; b < count; ++b) result[places[begin + b]].items = std::move(best[b]);
  }
  return result;
}

}  // namespace seqrank
