// Which values of a feature come next: labels of which several may be set, and the very next one.
// Value 0 of a feature, unknown, is nothing that could be told: it is left out of both.
#pragma once

#include "backend/arena.h"
#include "data/batch.h"

namespace seqrank {

// u8 [N, column.values]: 1 where one of the ids of events n .. n + ahead - 1, of the same sequence,
// is the value, which is not 0. Of a column of targets: where one of the next `ahead` events has
// it.
Tensor next_values(Arena& arena, const IdColumn& column, const Tensor& offset_B1,
                   std::int64_t ahead);

// The events whose id is not 0, rising, and these ids.
KnownValues known_values(Arena& arena, const IdColumn& column);

}  // namespace seqrank
