// Batches for models that learn from hidden items (Objective::masked): which events are hidden, by
// what, and samples whose second half is another's. All of it follows from (seed, place of the
// sample in the run, lengths) alone, so that every rank knows how many events all ranks hide.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "data/dataset.h"
#include "data/windows.h"

namespace seqrank {

// The id that stands for a hidden item: one more than there are.
inline std::int32_t mask_item(const Dataset& dataset) {
  return static_cast<std::int32_t>(dataset.items());
}

// The events of a sample that are hidden, by their positions, rising; at least one. place: of the
// sample, as Batch::place_B has it. Drawn by philox(seed, Purpose::masking, {low place, high place,
// position, 0}): word 0 says whether, 1 and 2 by what. Position -1 draws for the whole sample:
// word 0 whether only its last event is hidden, word 1 which one where none was drawn; with lane 1
// whether its second half is another's, and whose.
std::vector<std::int64_t> hidden_positions(const Masking& masking, std::uint64_t seed,
                                           std::int64_t place, std::int64_t events);

// Throws Error(usage) where masks and needs do not go together; nothing for Objective::next.
void check_masking(const BatchNeeds& needs, std::int64_t max_length);

// This rank's part of a global batch: windows of at least two events, all of which are inputs, at
// the places first_place, first_place + 1, ... of the run. Hidden events have in item_N the mask
// (80 %), any item (10 %) or their own (10 %); where only the last one is hidden, it has the mask,
// as when ranking. With masking.halves, half of the samples keep the first half of their events and
// get the second half of those of another sample of the batch, of another sequence; same_B: 0.
struct MaskedBatchOptions {
  std::uint64_t seed = 1;
  int rank = 0;
  int world = 1;
};
Batch masked_batch(const Dataset& dataset, Arena& arena, const BatchNeeds& needs,
                   const MaskedBatchOptions& options, std::span<const Window> windows,
                   std::int64_t first_place);

// Puts behind each sequence of a batch for ranking the event that is asked for: the mask, at the
// time of the event before it (gap 0) and with that event's columns. windows: those of the batch.
void append_mask(const Dataset& dataset, Arena& arena, std::span<const Window> windows,
                 Batch& batch);

}  // namespace seqrank
