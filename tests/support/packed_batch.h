// A batch made of given sequences, as the loader would pack them on one rank.
#pragma once

#include <vector>

#include "backend/context.h"
#include "data/batch.h"

namespace seqrank {

inline constexpr std::int64_t kPackedPositions = 16;  // ids of column position
inline constexpr std::int64_t kPackedInterests = 3;   // of columns item.interest, target.interest
inline constexpr std::int64_t kPackedAhead = 2;       // of ahead_NK, over target.interest
std::int32_t packed_interest(std::int64_t item);
inline constexpr std::int64_t kPackedKinds = 3;  // of column user.kind, by the first item

inline constexpr std::int64_t kPackedGaps = 48, kPackedHours = 24, kPackedWeekdays = 7;

// With negatives below 11. Each sequence: its items; the last one is only a target. place of
// sequence b: first_place + b. Labels follow from item and place.
Batch packed_batch(Context& ctx, const std::vector<std::vector<int>>& sequences,
                   std::int64_t first_place = 0, const BatchNeeds& needs = {});
// The same batch for Objective::masked with `items` items: of each sequence the last event has the
// mask, and every third one before it is to be told as it is. Every other sequence is one history.
void hide_items(Context& ctx, std::int64_t items, Batch& batch);

}  // namespace seqrank
