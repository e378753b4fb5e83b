// A window asks for max_length / 2 + 1 targets at most: then the first of them has max_length -
// max_length / 2 inputs.
#include "data/click_windows.h"

#include <algorithm>

#include "backend/check.h"
#include "data/event_columns.h"

namespace seqrank {
namespace {

std::int64_t asked_at_once(std::int64_t max_length) {
  return max_length / 2 + 1;
}

}  // namespace

ClickWindows::ClickWindows(const Questions& questions, std::int64_t max_length)
    : questions_(questions),
      max_length_(max_length),
      windows_(questions.dataset().sequences(), [&questions, max_length](std::int64_t sequence) {
        const std::int64_t targets =
            questions.protocol().targets(questions.split(), sequence).count();
        return (targets + asked_at_once(max_length) - 1) / asked_at_once(max_length);
      }) {}

ClickWindow ClickWindows::at(std::int64_t window) const {
  const auto [sequence, inside, of] = windows_.at(window);
  const EventRange targets = questions_.protocol().targets(questions_.split(), sequence);
  const std::int64_t first = targets.begin + inside * asked_at_once(max_length_);
  const std::int64_t end = std::min(targets.end, first + asked_at_once(max_length_));
  const std::int64_t inputs_end = end - 1;  // the last target is no input
  const std::int64_t begin = std::max<std::int64_t>(0, inputs_end - max_length_);
  return {{sequence, questions_.dataset().begin(sequence) + begin, inputs_end - begin},
          end - first,
          questions_.first_of(sequence) + first - targets.begin};
}

Batch click_batch(const Dataset& dataset, Arena& arena, std::span<const ClickWindow> windows,
                  std::int64_t max_length, const BatchNeeds& needs) {
  check_columns(dataset, needs, max_length);
  std::vector<Window> inputs;
  for (const ClickWindow& window : windows) inputs.push_back(window.inputs);
  Batch batch = pack_inputs(dataset, arena, inputs);
  batch.target_N = pack_targets(dataset, arena, inputs);
  add_columns(dataset, arena, inputs, needs, WithRows::no, batch);
  std::ranges::copy(batch.sequence_B, batch.place_B.span<std::int64_t>().begin());
  batch.global_events = batch.global_targets = batch.events;
  return batch;
}

}  // namespace seqrank
