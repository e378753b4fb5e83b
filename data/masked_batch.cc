// Windows are packed as they are, or as their pieces, and hidden afterwards.
#include "data/masked_batch.h"

#include <algorithm>
#include <numeric>

#include "backend/check.h"
#include "backend/philox.h"
#include "data/event_columns.h"
#include "data/sample_order.h"

namespace seqrank {
namespace {

constexpr float kMaskShare = 0.8f, kRandomShare = 0.1f;  // of hidden events

Philox4 draw(std::uint64_t seed, std::int64_t place, std::int64_t position, std::uint32_t lane) {
  const auto wide = static_cast<std::uint64_t>(place);
  return philox(seed, Purpose::masking,
                {static_cast<std::uint32_t>(wide), static_cast<std::uint32_t>(wide >> 32),
                 static_cast<std::uint32_t>(position), lane});
}

bool hides_last_alone(const Masking& masking, std::uint64_t seed, std::int64_t place) {
  return uniform_float(draw(seed, place, -1, 0)[0]) < static_cast<float>(masking.last_share);
}

// One piece, or the first half of one window and the second half of another.
struct Sample {
  std::vector<Window> pieces;
  std::int64_t place = 0;
  std::int64_t events() const {
    std::int64_t sum = 0;
    for (const Window& piece : pieces) sum += piece.events;
    return sum;
  }
  bool same() const { return pieces.size() == 1; }
};

Sample sample_of(std::span<const Window> windows, std::size_t i, bool halves, std::uint64_t seed,
                 std::int64_t place) {
  const Window& own = windows[i];
  const Philox4 words = draw(seed, place, -1, 1);
  if (!halves || windows.size() < 2 || uniform_float(words[0]) >= 0.5f) return {{own}, place};
  const Window& other = windows[(i + 1 + words[1] % (windows.size() - 1)) % windows.size()];
  if (other.sequence == own.sequence) return {{own}, place};
  const std::int64_t kept = (own.events + 1) / 2, skipped = (other.events + 1) / 2;
  return {{{own.sequence, own.begin, kept},
           {other.sequence, other.begin + skipped, other.events - skipped}},
          place};
}

void set_positions(Batch& batch) {
  const auto found = batch.ids.find("position");
  if (found == batch.ids.end()) return;
  const auto offset_B1 = batch.offset_B1.span<std::int32_t>();
  auto id_N = found->second.id_N.span<std::int32_t>();
  for (std::int64_t b = 0; b < batch.sequences; ++b)
    for (std::int32_t n = offset_B1[b]; n < offset_B1[b + 1]; ++n) id_N[n] = n - offset_B1[b];
}

Batch pack_samples(const Dataset& dataset, Arena& arena, const BatchNeeds& needs,
                   const std::vector<Sample>& samples) {
  std::vector<Window> pieces, groups;
  for (const Sample& sample : samples) {
    pieces.insert(pieces.end(), sample.pieces.begin(), sample.pieces.end());
    groups.push_back({sample.pieces[0].sequence, sample.pieces[0].begin, sample.events()});
  }
  Batch batch = pack_inputs(dataset, arena, pieces);
  add_columns(dataset, arena, pieces, needs, WithRows::no, batch);
  set_sequences(arena, groups, batch);
  set_positions(batch);
  for (auto& [name, column] : batch.ids)
    column.rows = unique_rows(arena, column.id_N.span<std::int32_t>());
  for (std::size_t b = 0; b < samples.size(); ++b)
    batch.place_B.span<std::int64_t>()[b] = samples[b].place;
  return batch;
}

std::int32_t hidden_by(const Philox4& words, std::int32_t item, std::int32_t mask) {
  const float share = uniform_float(words[1]);
  if (share < kMaskShare) return mask;
  if (share < kMaskShare + kRandomShare)
    return static_cast<std::int32_t>(words[2] % static_cast<std::uint32_t>(mask));
  return item;
}

void hide(Arena& arena, const Masking& masking, std::uint64_t seed, std::int32_t mask,
          Batch& batch) {
  const auto offset_B1 = batch.offset_B1.span<std::int32_t>();
  const auto place_B = batch.place_B.span<std::int64_t>();
  auto item_N = batch.item_N.span<std::int32_t>();
  std::vector<std::int32_t> index, target;
  for (std::int64_t b = 0; b < batch.sequences; ++b) {
    const bool last_alone = hides_last_alone(masking, seed, place_B[b]);
    for (const std::int64_t position :
         hidden_positions(masking, seed, place_B[b], offset_B1[b + 1] - offset_B1[b])) {
      const std::int64_t n = offset_B1[b] + position;
      index.push_back(static_cast<std::int32_t>(n));
      target.push_back(item_N[n]);
      item_N[n] =
          last_alone ? mask : hidden_by(draw(seed, place_B[b], position, 0), item_N[n], mask);
    }
  }
  const auto count = static_cast<std::int64_t>(index.size());
  batch.target_index_M = Tensor(arena, DType::i32, {count}, Tag::batch);
  batch.target_M = Tensor(arena, DType::i32, {count}, Tag::batch);
  std::ranges::copy(index, batch.target_index_M.span<std::int32_t>().begin());
  std::ranges::copy(target, batch.target_M.span<std::int32_t>().begin());
}

// y[m] = x[from[m]], of the same type as x.
template <class T>
Tensor picked(Arena& arena, const Tensor& x, const std::vector<std::int64_t>& from) {
  Shape shape{static_cast<std::int64_t>(from.size())};
  if (x.shape().rank() == 2) shape = {shape[0], x.dim(1)};
  Tensor y(arena, x.dtype(), shape, Tag::batch);
  for (std::size_t m = 0; m < from.size(); ++m) y.span<T>()[m] = x.span<T>()[from[m]];
  return y;
}

}  // namespace

void check_masking(const BatchNeeds& needs, std::int64_t max_length) {
  if (needs.objective != Objective::masked) return;
  SR_CHECK(max_length >= 2, ErrorKind::usage,
           "--data.max_length={}: a model of masked items reads at least 2 events", max_length);
  for (const std::string& name : needs.columns)
    SR_CHECK(!name.starts_with("item.") && !name.starts_with("target."), ErrorKind::usage,
             "--model.input: {} would tell which item is masked", name);
}

std::vector<std::int64_t> hidden_positions(const Masking& masking, std::uint64_t seed,
                                           std::int64_t place, std::int64_t events) {
  if (hides_last_alone(masking, seed, place)) return {events - 1};
  std::vector<std::int64_t> positions;
  for (std::int64_t i = 0; i < events; ++i)
    if (uniform_float(draw(seed, place, i, 0)[0]) < static_cast<float>(masking.share))
      positions.push_back(i);
  if (positions.empty()) positions.push_back(draw(seed, place, -1, 0)[1] % events);
  return positions;
}

Batch masked_batch(const Dataset& dataset, Arena& arena, const BatchNeeds& needs,
                   const MaskedBatchOptions& options, std::span<const Window> windows,
                   std::int64_t first_place) {
  std::vector<Sample> all, mine;
  std::vector<std::int64_t> events, targets;
  std::int64_t global_events = 0;
  for (std::size_t i = 0; i < windows.size(); ++i) {
    const std::int64_t place = first_place + static_cast<std::int64_t>(i);
    all.push_back(sample_of(windows, i, needs.masking.halves, options.seed, place));
    events.push_back(all.back().events());
    global_events += events.back();
    targets.push_back(static_cast<std::int64_t>(
        hidden_positions(needs.masking, options.seed, place, events.back()).size()));
  }
  const std::vector<int> rank_of = assign_ranks(events, options.world);
  for (std::size_t i = 0; i < all.size(); ++i)
    if (rank_of[i] == options.rank) mine.push_back(all[i]);

  Batch batch = pack_samples(dataset, arena, needs, mine);
  hide(arena, needs.masking, options.seed, mask_item(dataset), batch);
  batch.item_rows = unique_rows(arena, batch.item_N.span<std::int32_t>());
  if (needs.masking.halves) {
    batch.same_B = Tensor(arena, DType::f32, {batch.sequences}, Tag::batch);
    for (std::size_t b = 0; b < mine.size(); ++b)
      batch.same_B.span<float>()[b] = mine[b].same() ? 1.0f : 0.0f;
  }
  batch.global_events = global_events;
  batch.targets_R.resize(options.world);
  for (std::size_t i = 0; i < all.size(); ++i) batch.targets_R[rank_of[i]] += targets[i];
  batch.global_targets = std::reduce(targets.begin(), targets.end());
  batch.global_sequences = static_cast<std::int64_t>(all.size());
  return batch;
}

void append_mask(const Dataset& dataset, Arena& arena, std::span<const Window> windows,
                 Batch& batch) {
  std::vector<Window> longer(windows.begin(), windows.end());
  std::vector<std::int64_t> from;
  std::int64_t at = 0;
  for (Window& window : longer) {
    for (std::int64_t i = 0; i < window.events; ++i) from.push_back(at++);
    from.push_back(at - 1);
    ++window.events;
  }
  batch.events = static_cast<std::int64_t>(from.size());
  batch.item_N = picked<std::int32_t>(arena, batch.item_N, from);
  if (batch.label_N) batch.label_N = picked<float>(arena, batch.label_N, from);
  if (batch.time_N) batch.time_N = picked<std::int64_t>(arena, batch.time_N, from);
  for (auto& [name, column] : batch.ids)
    column.id_N = picked<std::int32_t>(arena, column.id_N, from);
  for (auto& [name, number_N1] : batch.numbers) number_N1 = picked<float>(arena, number_N1, from);
  set_sequences(arena, longer, batch);
  set_positions(batch);
  const auto gap = batch.ids.find("gap");
  for (const std::int32_t last : batch.last_B.span<std::int32_t>()) {
    batch.item_N.span<std::int32_t>()[last] = mask_item(dataset);
    if (gap != batch.ids.end()) gap->second.id_N.span<std::int32_t>()[last] = 0;
  }
}

}  // namespace seqrank
