// One pread a window: a sample's events are neighbours in the file.
#include "data/windows.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "backend/check.h"

namespace seqrank {
namespace {

std::int64_t total_events(std::span<const Window> windows) {
  std::int64_t events = 0;
  for (const Window& window : windows) events += window.events;
  SR_CHECK(events <= std::numeric_limits<std::int32_t>::max(), ErrorKind::usage,
           "a batch has {} events on one rank; make it smaller", events);
  return events;
}

// Time-major places: all first events, sequences by falling length, then all second events...
void fill_time_order(Batch& batch, std::span<const Window> windows) {
  std::vector<std::size_t> by_length(windows.size());
  std::iota(by_length.begin(), by_length.end(), std::size_t{0});
  std::stable_sort(by_length.begin(), by_length.end(), [&](std::size_t a, std::size_t b) {
    return windows[a].events > windows[b].events;
  });
  const auto offset_B1 = batch.offset_B1.span<std::int32_t>();
  auto order_N = batch.time_order_N.span<std::int32_t>();
  batch.sequences_at_T.clear();
  std::size_t place = 0, alive = windows.size();
  for (std::int64_t t = 0;; ++t) {
    while (alive > 0 && windows[by_length[alive - 1]].events <= t) --alive;
    if (alive == 0) return;
    for (std::size_t i = 0; i < alive; ++i)
      order_N[place++] = offset_B1[by_length[i]] + static_cast<std::int32_t>(t);
    batch.sequences_at_T.push_back(static_cast<std::int32_t>(alive));
  }
}

}  // namespace

TrainingWindows::TrainingWindows(const Protocol& protocol, std::int64_t max_length)
    : protocol_(protocol),
      max_length_(max_length),
      windows_(protocol.dataset().sequences(), [protocol, max_length](std::int64_t sequence) {
        const std::int64_t targets = protocol.targets(Split::train, sequence).count();
        return (targets + max_length - 1) / max_length;
      }) {}

Window TrainingWindows::at(std::int64_t window) const {
  const auto [sequence, inside, of] = windows_.at(window);
  // Cut from the end: the first window is the one that may be short.
  const std::int64_t later = of - 1 - inside;
  const std::int64_t end =
      protocol_.targets(Split::train, sequence).count() - later * max_length_;  // of the inputs
  const std::int64_t begin = std::max<std::int64_t>(0, end - max_length_);
  return {sequence, protocol_.dataset().begin(sequence) + begin, end - begin};
}

Batch pack_inputs(const Dataset& dataset, Arena& arena, std::span<const Window> windows) {
  Batch batch;
  batch.events = total_events(windows);
  batch.item_N = Tensor(arena, DType::i32, {batch.events}, Tag::batch);
  auto item_N = batch.item_N.span<std::int32_t>();
  std::int64_t at = 0;
  for (const Window& window : windows) {
    dataset.read_items(window.begin, item_N.subspan(at, window.events));
    at += window.events;
  }
  set_sequences(arena, windows, batch);
  return batch;
}

void set_sequences(Arena& arena, std::span<const Window> windows, Batch& batch) {
  batch.sequences = static_cast<std::int64_t>(windows.size());
  batch.offset_B1 = Tensor(arena, DType::i32, {batch.sequences + 1}, Tag::batch);
  batch.time_order_N = Tensor(arena, DType::i32, {batch.events}, Tag::batch);
  batch.last_B = Tensor(arena, DType::i32, {batch.sequences}, Tag::batch);
  batch.place_B = Tensor(arena, DType::i64, {batch.sequences}, Tag::batch);
  auto offset_B1 = batch.offset_B1.span<std::int32_t>();
  auto last_B = batch.last_B.span<std::int32_t>();
  batch.sequence_B.clear();
  std::int64_t at = 0;
  for (std::size_t b = 0; b < windows.size(); ++b) {
    const Window& window = windows[b];
    SR_ASSERT(window.events > 0, "window {} of sequence {} is empty", b, window.sequence);
    offset_B1[b] = static_cast<std::int32_t>(at);
    at += window.events;
    last_B[b] = static_cast<std::int32_t>(at - 1);
    batch.sequence_B.push_back(window.sequence);
  }
  SR_ASSERT(at == batch.events, "windows of {} events for {}", at, batch.events);
  offset_B1[windows.size()] = static_cast<std::int32_t>(at);
  fill_time_order(batch, windows);
}

Tensor pack_targets(const Dataset& dataset, Arena& arena, std::span<const Window> windows) {
  Tensor target_N(arena, DType::i32, {total_events(windows)}, Tag::batch);
  auto out = target_N.span<std::int32_t>();
  std::int64_t at = 0;
  for (const Window& window : windows) {
    dataset.read_items(window.begin + 1, out.subspan(at, window.events));
    at += window.events;
  }
  return target_N;
}

}  // namespace seqrank
