// Batches for ranking: the end of each history as inputs, all of it as what was seen.
#include <algorithm>
#include <limits>
#include <utility>

#include "backend/check.h"
#include "backend/transfer.h"
#include "data/event_columns.h"
#include "data/loader.h"
#include "data/masked_batch.h"
#include "data/windows.h"

namespace seqrank {
namespace {

// The part of a history that fits: its last max_length events.
Window tail(const Window& history, std::int64_t max_length) {
  const std::int64_t events = std::min(history.events, max_length);
  return {history.sequence, history.begin + history.events - events, events};
}

EvaluationBatch pack_histories(const Dataset& dataset, Arena& arena,
                               std::span<const Window> histories, std::int64_t max_length,
                               const BatchNeeds& needs) {
  check_columns(dataset, needs, max_length);
  SR_CHECK(max_length >= 1, ErrorKind::usage,
           "the longest history is {} events; it must be at least 1", max_length);
  check_masking(needs, max_length);
  const bool asks = needs.objective == Objective::masked;  // by one event more
  std::vector<Window> inputs;
  std::int64_t seen = 0;
  for (const Window& history : histories) {
    inputs.push_back(tail(history, max_length - asks));
    seen += history.events;
  }
  SR_CHECK(seen <= std::numeric_limits<std::int32_t>::max(), ErrorKind::usage,
           "the histories of a batch have {} events; evaluate fewer at once", seen);
  EvaluationBatch out;
  out.batch = pack_inputs(dataset, arena, inputs);
  add_columns(dataset, arena, inputs, needs, WithRows::no, out.batch);
  if (asks) append_mask(dataset, arena, inputs, out.batch);
  auto place_B = out.batch.place_B.span<std::int64_t>();
  std::copy(out.batch.sequence_B.begin(), out.batch.sequence_B.end(), place_B.begin());
  out.batch.global_events = out.batch.events;
  const auto rows = static_cast<std::int64_t>(histories.size());
  out.seen_M = Tensor(arena, DType::i32, {seen}, Tag::batch);
  out.seen_offset_B1 = Tensor(arena, DType::i32, {rows + 1}, Tag::batch);
  auto seen_M = out.seen_M.span<std::int32_t>();
  auto offset_B1 = out.seen_offset_B1.span<std::int32_t>();
  std::int64_t at = 0;
  for (std::int64_t b = 0; b < rows; ++b) {
    offset_B1[b] = static_cast<std::int32_t>(at);
    dataset.read_items(histories[b].begin, seen_M.subspan(at, histories[b].events));
    at += histories[b].events;
  }
  offset_B1[rows] = static_cast<std::int32_t>(at);
  return out;
}

}  // namespace

EvaluationBatch evaluation_batch(const Questions& questions, Arena& arena, std::int64_t begin,
                                 std::int64_t end, std::int64_t max_length,
                                 const BatchNeeds& needs) {
  SR_ASSERT(0 <= begin && begin <= end && end <= questions.count(), "questions {} to {} of {}",
            begin, end, questions.count());
  const Dataset& dataset = questions.dataset();
  std::vector<Window> histories;
  for (std::int64_t q = begin; q < end; ++q) {
    const Question question = questions.at(q);
    histories.push_back({question.sequence, question.history_begin, question.history_events});
  }
  EvaluationBatch out = pack_histories(dataset, arena, histories, max_length, needs);
  out.target_B = Tensor(arena, DType::i32, {out.batch.sequences}, Tag::batch);
  auto target_B = out.target_B.span<std::int32_t>();
  for (std::size_t b = 0; b < histories.size(); ++b)
    dataset.read_items(histories[b].begin + histories[b].events, target_B.subspan(b, 1));
  out.batch.global_targets = out.batch.sequences;
  return out;
}

EvaluationBatch history_batch(const Dataset& dataset, Arena& arena,
                              std::span<const std::int64_t> sequences, std::int64_t max_length,
                              const BatchNeeds& needs) {
  std::vector<Window> histories;
  for (const std::int64_t s : sequences) {
    SR_CHECK(s >= 0 && s < dataset.sequences(), ErrorKind::usage,
             "{}: has no sequence {}; they are 0 to {}", dataset.path(), s,
             dataset.sequences() - 1);
    SR_CHECK(dataset.length(s) > 0, ErrorKind::data,
             "{}: sequence {} has no events to recommend from", dataset.path(), s);
    histories.push_back({s, dataset.begin(s), dataset.length(s)});
  }
  return pack_histories(dataset, arena, histories, max_length, needs);
}

EvaluationBatch to_device(Context& ctx, const EvaluationBatch& host) {
  return {to_device(ctx, host.batch), to_device(ctx, host.target_B), to_device(ctx, host.seen_M),
          to_device(ctx, host.seen_offset_B1)};
}

}  // namespace seqrank
