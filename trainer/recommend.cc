// Whole histories in, the best unseen items out.
#include "trainer/recommend.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "backend/ops/embedding.h"
#include "backend/ops/top_k.h"
#include "backend/transfer.h"

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

struct Scored {
  std::int32_t item;
  float score;
};

double cosine(std::span<const float> a, std::span<const float> b) {
  double product = 0, squares_a = 0, squares_b = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    product += double{a[i]} * b[i];
    squares_a += double{a[i]} * a[i];
    squares_b += double{b[i]} * b[i];
  }
  return squares_a > 0 && squares_b > 0 ? product / std::sqrt(squares_a * squares_b) : 0;
}

// Of a shortlist in falling order of scores the k items that diversity chooses, in that order.
std::vector<Scored> diversified(Context& ctx, const std::vector<Scored>& shortlist,
                                const RecommendOptions& options) {
  if (shortlist.empty()) return {};
  const auto count = static_cast<std::int64_t>(shortlist.size());
  const std::int64_t width = options.vector_VD.dim(1);
  Tensor id_M(ctx.host_arena(), DType::i32, {count}, Tag::workspace);
  for (std::int64_t i = 0; i < count; ++i) id_M.data<std::int32_t>()[i] = shortlist[i].item;
  Tensor vector_MD = ctx.empty(DType::f32, {count, width});
  gather_rows(ctx, vector_MD, options.vector_VD, to_device(ctx, id_M));
  const Tensor host_MD = to_host(ctx, vector_MD);
  const auto vector = [&](std::int64_t i) {
    return std::span(host_MD.data<float>() + i * width, static_cast<std::size_t>(width));
  };
  const float best = shortlist.front().score, range = best - shortlist.back().score;
  std::vector<double> likeness(count, -1);  // largest cosine with an item that was taken
  std::vector<bool> taken(count, false);
  std::vector<Scored> chosen;
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

}  // namespace

std::int64_t sequence_of(const Dataset& dataset, const std::string& user) {
  const auto sequence = dataset.find_user(user);
  SR_CHECK(sequence, ErrorKind::usage,
           "--users: {} has no user {}; `seqrank inspect {}` shows what is in it", dataset.path(),
           user, dataset.path());
  return *sequence;
}

std::int64_t recommend_block(std::int64_t items) {
  return std::clamp<std::int64_t>(kScoreElements / std::max<std::int64_t>(1, items), 1, 256);
}

std::vector<std::vector<RecommendedItem>> best_items(Context& ctx, Model& model,
                                                     const Dataset& dataset,
                                                     const EvaluationBatch& histories,
                                                     const RecommendOptions& options) {
  const bool diverse = options.diversity > 0;
  SR_CHECK(!diverse || options.vector_VD, ErrorKind::usage,
           "--diversity={}: the model has no item vectors to tell items apart by",
           options.diversity);
  const std::int64_t rows = histories.batch.sequences, items = dataset.items();
  const std::int64_t listed = std::min(items, diverse ? kShortlist * options.k : options.k);
  Tensor score_BV = ctx.empty(DType::f32, {rows, items});
  model.score_next(ctx, histories.batch, score_BV);
  if (options.seen == Seen::masked)
    mask_items(ctx, score_BV, histories.seen_M, histories.seen_offset_B1, Tensor());
  if (options.candidates) mask_others(ctx, score_BV, *options.candidates);
  Tensor value_BK = ctx.empty(DType::f32, {rows, listed});
  Tensor id_BK = ctx.empty(DType::i32, {rows, listed});
  top_k(ctx, value_BK, id_BK, score_BV);
  const Tensor host_value_BK = to_host(ctx, value_BK), host_id_BK = to_host(ctx, id_BK);
  std::vector<std::vector<RecommendedItem>> result(rows);
  for (std::int64_t b = 0; b < rows; ++b) {
    std::vector<Scored> list;
    for (std::int64_t i = b * listed; i < (b + 1) * listed; ++i) {
      const std::int32_t item = host_id_BK.data<std::int32_t>()[i];
      if (item < 0) break;  // fewer items than asked for
      list.push_back({item, host_value_BK.data<float>()[i]});
    }
    if (diverse) list = diversified(ctx, list, options);
    for (const auto& [item, score] : list)
      result[b].push_back({item, dataset.item_key(item), dataset.item_title(item), score});
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
                                      std::span<const std::string> users,
                                      const RecommendOptions& options) {
  std::vector<std::int64_t> sequences;
  for (const std::string& user : users) sequences.push_back(sequence_of(dataset, user));
  const auto block = static_cast<std::size_t>(recommend_block(dataset.items()));
  std::vector<Recommendation> result;
  for (std::size_t begin = 0; begin < users.size(); begin += block) {
    const std::size_t count = std::min(block, users.size() - begin);
    const std::span<const std::int64_t> part(sequences.data() + begin, count);
    const EvaluationBatch histories = to_device(
        ctx, history_batch(dataset, ctx.host_arena(), part, options.max_length, model.needs()));
    auto best = best_items(ctx, model, dataset, histories, options);
    for (std::size_t b = 0; b < count; ++b)
      result.push_back({users[begin + b], recent_titles(dataset, part[b]), std::move(best[b])});
  }
  return result;
}

}  // namespace seqrank
