// Packs by the plainest means, independent of the loader.
#include "tests/support/packed_batch.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "data/negatives.h"
#include "data/next_values.h"

namespace seqrank {
namespace {

template <class T>
Tensor tensor_of(Context& ctx, const std::vector<T>& values) {
  Tensor tensor = ctx.empty(DTypeOf<T>::value, {static_cast<std::int64_t>(values.size())});
  std::copy(values.begin(), values.end(), tensor.data<T>());
  return tensor;
}

void add_users_and_labels(Context& ctx, const std::vector<std::vector<int>>& sequences,
                          Batch& batch) {
  std::vector<std::int32_t> kind;
  std::vector<float> label, target_label;
  for (const auto& s : sequences) {
    for (std::size_t i = 0; i + 1 < s.size(); ++i) {
      kind.push_back(s[0] % kPackedKinds);
      const auto label_at = [&](std::size_t t) { return (3 * s[t] + t) % 4 < 2 ? 1.0f : 0.0f; };
      label.push_back(label_at(i));
      target_label.push_back(label_at(i + 1));
    }
  }
  batch.label_N = tensor_of(ctx, label);
  batch.target_label_N = tensor_of(ctx, target_label);
  batch.ids["user.kind"] = {kPackedKinds, tensor_of(ctx, kind), unique_rows(ctx.arena(), kind)};
}

}  // namespace

std::int32_t packed_interest(std::int64_t item) {
  return static_cast<std::int32_t>(item % kPackedInterests);
}

Batch packed_batch(Context& ctx, const std::vector<std::vector<int>>& sequences,
                   std::int64_t first_place, const BatchNeeds& needs) {
  std::vector<std::int32_t> items, targets, offset = {0}, last, order;
  std::vector<std::int64_t> place;
  for (std::size_t b = 0; b < sequences.size(); ++b) {
    const auto& s = sequences[b];
    items.insert(items.end(), s.begin(), s.end() - 1);
    targets.insert(targets.end(), s.begin() + 1, s.end());
    offset.push_back(static_cast<std::int32_t>(items.size()));
    last.push_back(offset.back() - 1);
    place.push_back(first_place + static_cast<std::int64_t>(b));
  }
  std::vector<int> by_length(sequences.size());
  std::iota(by_length.begin(), by_length.end(), 0);
  std::stable_sort(by_length.begin(), by_length.end(),
                   [&](int a, int b) { return sequences[a].size() > sequences[b].size(); });
  Batch batch;
  for (int t = 0; order.size() < items.size(); ++t) {
    std::int32_t running = 0;
    for (int b : by_length) {
      if (offset[b] + t >= offset[b + 1]) continue;
      order.push_back(offset[b] + t);
      ++running;
    }
    batch.sequences_at_T.push_back(running);
  }
  batch.sequences = static_cast<std::int64_t>(sequences.size());
  batch.events = static_cast<std::int64_t>(items.size());
  batch.item_N = tensor_of(ctx, items);
  batch.target_N = tensor_of(ctx, targets);
  if (needs.target_rows) {
    const auto rows = shared_unique_rows(ctx.arena(), {items, targets});
    batch.item_rows = rows[0];
    batch.target_rows = rows[1];
  } else {
    const std::vector<std::int32_t> negatives = {4, 0, 10, 3, 3, 7};  // 3 twice, as by chance
    batch.negative_S = tensor_of(ctx, negatives);
    batch.negative_log_q_S =
        tensor_of(ctx, std::vector<float>(negatives.size(), std::log(6 / 11.f)));
    const auto rows = shared_unique_rows(ctx.arena(), {items, targets, negatives});
    batch.item_rows = rows[0];
    batch.target_rows = rows[1];
    batch.negative_rows = rows[2];
  }
  batch.offset_B1 = tensor_of(ctx, offset);
  batch.time_order_N = tensor_of(ctx, order);
  batch.last_B = tensor_of(ctx, last);
  batch.place_B = tensor_of(ctx, place);
  if (needs.negatives.own) batch.own_negatives = own_negatives(ctx.arena(), batch);
  batch.global_targets = batch.global_events = batch.events;
  batch.global_sequences = batch.sequences;
  std::vector<std::int32_t> position;
  for (std::size_t b = 0; b < sequences.size(); ++b)
    for (std::int32_t i = 0; i < offset[b + 1] - offset[b]; ++i) position.push_back(i);
  const auto column = [&](std::int64_t values, const std::vector<std::int32_t>& ids) {
    return IdColumn{values, tensor_of(ctx, ids), unique_rows(ctx.arena(), ids)};
  };
  batch.ids["position"] = column(kPackedPositions, position);
  std::vector<std::int32_t> gap, hour, weekday;
  std::vector<std::int64_t> time;
  for (std::size_t n = 0; n < items.size(); ++n) {
    gap.push_back(static_cast<std::int32_t>((5 * items[n] + position[n]) % kPackedGaps));
    hour.push_back(static_cast<std::int32_t>(7 * items[n] % kPackedHours));
    weekday.push_back(static_cast<std::int32_t>((items[n] + position[n]) % kPackedWeekdays));
    time.push_back(1000 * position[n] * position[n] + items[n]);
  }
  batch.ids["gap"] = column(kPackedGaps, gap);
  batch.ids["hour"] = column(kPackedHours, hour);
  batch.ids["weekday"] = column(kPackedWeekdays, weekday);
  batch.time_N = tensor_of(ctx, time);
  std::ranges::transform(items, items.begin(), packed_interest);
  std::ranges::transform(targets, targets.begin(), packed_interest);
  batch.ids["item.interest"] = column(kPackedInterests, items);
  batch.ids["target.interest"] = column(kPackedInterests, targets);
  batch.ahead_NK =
      next_values(ctx.arena(), batch.ids["target.interest"], batch.offset_B1, kPackedAhead);
  batch.known_next = known_values(ctx.arena(), batch.ids["target.interest"]);
  add_users_and_labels(ctx, sequences, batch);
  return batch;
}

void hide_items(Context& ctx, std::int64_t items, Batch& batch) {
  const auto offset_B1 = batch.offset_B1.span<std::int32_t>();
  auto item_N = batch.item_N.span<std::int32_t>();
  std::vector<std::int32_t> index, target;
  std::vector<float> same;
  for (std::int64_t b = 0; b < batch.sequences; ++b) {
    same.push_back(static_cast<float>(b % 2));
    for (std::int32_t n = offset_B1[b]; n < offset_B1[b + 1]; ++n) {
      const bool last = n + 1 == offset_B1[b + 1];
      if (!last && (offset_B1[b + 1] - n) % 3 != 0) continue;
      index.push_back(n);
      target.push_back(item_N[n]);
      if (last) item_N[n] = static_cast<std::int32_t>(items);
    }
  }
  batch.target_index_M = tensor_of(ctx, index);
  batch.target_M = tensor_of(ctx, target);
  batch.same_B = tensor_of(ctx, same);
  batch.global_targets = static_cast<std::int64_t>(index.size());
  batch.item_rows = unique_rows(ctx.arena(), item_N);
  batch.target_N = Tensor();
}

}  // namespace seqrank
