// Whole histories in, the best unseen items out.
#include "trainer/recommend.h"

#include <algorithm>

#include "backend/ops/top_k.h"
#include "backend/transfer.h"

namespace seqrank {
namespace {

constexpr std::int64_t kRecentShown = 5;

std::vector<std::string> recent_titles(const Dataset& dataset, std::int64_t sequence) {
  const std::int64_t shown = std::min(kRecentShown, dataset.length(sequence));
  std::vector<std::int32_t> items(shown);
  dataset.read_items(dataset.begin(sequence) + dataset.length(sequence) - shown, items);
  std::vector<std::string> titles;
  for (std::int32_t item : items) titles.push_back(dataset.item_title(item));
  return titles;
}

}  // namespace

std::vector<Recommendation> recommend(Context& ctx, Model& model, const Dataset& dataset,
                                      const std::vector<std::string>& users, std::int64_t k,
                                      const EvaluateOptions& options) {
  std::vector<std::int64_t> sequences;
  for (const std::string& user : users) {
    const auto sequence = dataset.find_user(user);
    SR_CHECK(sequence, ErrorKind::usage,
             "--users: {} has no user {}; `seqrank inspect {}` shows what is in it", dataset.path(),
             user, dataset.path());
    sequences.push_back(*sequence);
  }
  const EvaluationBatch histories = to_device(
      ctx, history_batch(dataset, ctx.host_arena(), sequences, options.max_length, model.needs()));
  const auto rows = static_cast<std::int64_t>(users.size());
  Tensor score_BV = ctx.empty(DType::f32, {rows, dataset.items()});
  model.score_next(ctx, histories.batch, score_BV);
  if (options.seen == Seen::masked)
    mask_items(ctx, score_BV, histories.seen_M, histories.seen_offset_B1, Tensor());
  Tensor value_BK = ctx.empty(DType::f32, {rows, k});
  Tensor id_BK = ctx.empty(DType::i32, {rows, k});
  top_k(ctx, value_BK, id_BK, score_BV);
  const Tensor host_value_BK = to_host(ctx, value_BK), host_id_BK = to_host(ctx, id_BK);

  std::vector<Recommendation> result;
  for (std::int64_t b = 0; b < rows; ++b) {
    Recommendation one{users[b], recent_titles(dataset, sequences[b]), {}};
    for (std::int64_t i = b * k; i < (b + 1) * k; ++i) {
      const std::int64_t item = host_id_BK.data<std::int32_t>()[i];
      if (item < 0) break;  // fewer items than k
      one.items.push_back(
          {item, dataset.item_key(item), dataset.item_title(item), host_value_BK.data<float>()[i]});
    }
    result.push_back(std::move(one));
  }
  return result;
}

}  // namespace seqrank
