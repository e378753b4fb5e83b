// Windows of sequences dealt to ranks, or the parts of sessions that slots read, and all that a
// model wants of them.
#include "data/step_batches.h"

#include <algorithm>
#include <functional>

#include "backend/check.h"
#include "data/event_columns.h"
#include "data/masked_batch.h"
#include "data/next_values.h"

namespace seqrank {
namespace {

std::vector<std::int64_t> events_of(std::span<const Window> windows) {
  std::vector<std::int64_t> events;
  for (const Window& window : windows) events.push_back(window.events);
  return events;
}

}  // namespace

// What this rank reads in a step.
struct StepBatches::Share {
  std::vector<Window> windows;
  std::vector<std::int64_t> places;
};

StepBatches::StepBatches(const Protocol& protocol, Arena& arena, const LoaderOptions& options)
    : dataset_(protocol.dataset()),
      arena_(arena),
      options_(options),
      windows_(protocol, options.max_length - extra_inputs()),
      order_(options.seed, windows_.count()) {
  if (options.needs.slot_events > 0)
    slots_.emplace(protocol, options.seed, options.global_batch, options.needs.slot_events);
  if (options.needs.negatives.count == 0) return;
  SR_CHECK(options.needs.objective == Objective::next, ErrorKind::usage,
           "--loss.kind: hidden items are learned with the exact softmax alone");
  negatives_.emplace(dataset_, windows_, arena, options.seed, options.needs.negatives);
}

std::int64_t StepBatches::steps_per_epoch() const {
  if (slots_) return slots_->steps_per_epoch();
  return (windows_.count() + options_.global_batch - 1) / options_.global_batch;
}

std::int64_t StepBatches::first_place(std::int64_t step) const {
  return step / steps_per_epoch() * windows_.count() +
         step % steps_per_epoch() * options_.global_batch;
}

std::vector<Window> StepBatches::windows_of(std::int64_t step) const {
  const std::int64_t epoch = step / steps_per_epoch();
  const std::int64_t begin = step % steps_per_epoch() * options_.global_batch;
  const std::int64_t end = std::min(begin + options_.global_batch, windows_.count());
  std::vector<Window> all;
  for (std::int64_t place = begin; place < end; ++place) {
    all.push_back(windows_.at(order_.sample_at(epoch, place)));
    all.back().events += extra_inputs();
  }
  return all;
}

std::int64_t StepBatches::events(std::int64_t step) {
  std::int64_t sum = 0;
  if (slots_) {
    const SlotRange range = slot_range(options_.global_batch, options_.rank, options_.world);
    for (std::int64_t slot = range.begin; slot < range.end; ++slot)
      if (const auto part = slots_->at(step / steps_per_epoch(), step % steps_per_epoch(), slot))
        sum += part->window.events;
    return sum;
  }
  const std::vector<std::int64_t> events = events_of(windows_of(step));
  const std::vector<int> rank_of = assign_ranks(events, options_.world);
  for (std::size_t i = 0; i < events.size(); ++i)
    if (rank_of[i] == options_.rank) sum += events[i];
  return sum;
}

Batch StepBatches::make(std::int64_t step) {
  if (slots_) return make_slots(step);
  const std::vector<Window> all = windows_of(step);
  if (options_.needs.objective == Objective::masked)
    return masked_batch(dataset_, arena_, options_.needs,
                        {options_.seed, options_.rank, options_.world}, all, first_place(step));
  return make_next(step, all);
}

Batch StepBatches::make_next(std::int64_t step, std::span<const Window> all) const {
  const std::vector<std::int64_t> events = events_of(all);
  const std::vector<int> rank_of = assign_ranks(events, options_.world);
  Share share;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (rank_of[i] != options_.rank) continue;
    share.windows.push_back(all[i]);
    share.places.push_back(first_place(step) + static_cast<std::int64_t>(i));
  }
  Batch batch = pack(step, all, share);
  batch.targets_R.resize(options_.world);
  for (std::size_t i = 0; i < all.size(); ++i) batch.targets_R[rank_of[i]] += events[i];
  return batch;
}

Batch StepBatches::make_slots(std::int64_t step) {
  const SlotRange range = slot_range(options_.global_batch, options_.rank, options_.world);
  struct Reading {
    std::int64_t slot;  // counted in this rank's range
    SlotSchedule::Part part;
  };
  std::vector<Window> all;
  std::vector<Reading> mine;
  std::vector<std::int64_t> targets_R(options_.world);
  int rank = 0;  // of the slot
  for (std::int64_t slot = 0; slot < range.all; ++slot) {
    const auto part = slots_->at(step / steps_per_epoch(), step % steps_per_epoch(), slot);
    if (!part) continue;
    while (slot >= slot_range(options_.global_batch, rank, options_.world).end) ++rank;
    targets_R[rank] += part->window.events;
    all.push_back(part->window);
    if (range.begin <= slot && slot < range.end) mine.push_back({slot - range.begin, *part});
  }
  std::ranges::stable_sort(mine, std::greater(),
                           [](const Reading& reading) { return reading.part.window.events; });
  Share share;
  for (const Reading& reading : mine) {
    share.windows.push_back(reading.part.window);
    share.places.push_back(reading.part.place);
  }
  Batch batch = pack(step, all, share);
  batch.targets_R = std::move(targets_R);
  batch.state_from_B = Tensor(arena_, DType::i32, {batch.sequences}, Tag::batch);
  batch.state_at_S = Tensor(arena_, DType::i32, {range.count()}, Tag::batch);
  const auto state_at_S = batch.state_at_S.span<std::int32_t>();
  std::ranges::fill(state_at_S, 0);
  for (std::size_t b = 0; b < mine.size(); ++b) {
    batch.state_from_B.span<std::int32_t>()[b] =
        static_cast<std::int32_t>(mine[b].part.begins ? range.count() : mine[b].slot);
    state_at_S[mine[b].slot] = batch.last_B.span<std::int32_t>()[b];
  }
  return batch;
}

Batch StepBatches::pack(std::int64_t step, std::span<const Window> all, const Share& share) const {
  const std::vector<Window>& mine = share.windows;
  Batch batch = pack_inputs(dataset_, arena_, mine);
  batch.target_N = pack_targets(dataset_, arena_, mine);
  add_columns(dataset_, arena_, mine, options_.needs, WithRows::yes, batch);
  if (!options_.needs.ahead_column.empty()) {
    const IdColumn& column = batch.ids.at(options_.needs.ahead_column);
    batch.ahead_NK = next_values(arena_, column, batch.offset_B1, options_.needs.ahead);
    batch.known_next = known_values(arena_, column);
  }
  if (negatives_) {
    negatives_->draw(step, all, arena_, batch);
    auto rows = shared_unique_rows(
        arena_, {batch.item_N.span<std::int32_t>(), batch.target_N.span<std::int32_t>(),
                 batch.negative_S.span<std::int32_t>()});
    batch.item_rows = rows[0];
    batch.target_rows = rows[1];
    batch.negative_rows = rows[2];
  } else if (options_.needs.target_rows) {
    auto rows = shared_unique_rows(
        arena_, {batch.item_N.span<std::int32_t>(), batch.target_N.span<std::int32_t>()});
    batch.item_rows = rows[0];
    batch.target_rows = rows[1];
  } else {
    batch.item_rows = unique_rows(arena_, batch.item_N.span<std::int32_t>());
  }
  std::ranges::copy(share.places, batch.place_B.span<std::int64_t>().begin());
  for (const Window& window : all) batch.global_events += window.events;
  batch.global_targets = batch.global_events;  // every input has an event that follows it
  batch.global_sequences = static_cast<std::int64_t>(all.size());
  return batch;
}

}  // namespace seqrank
