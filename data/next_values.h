// Which values of a column come next: labels of which several may be set.
#pragma once

#include "backend/arena.h"
#include "data/batch.h"

namespace seqrank {

// u8 [N, column.values]: 1 where one of the ids of events n .. n + ahead - 1, of the same sequence,
// is the value. Of a column of targets: where one of the next `ahead` events has it.
Tensor next_values(Arena& arena, const IdColumn& column, const Tensor& offset_B1,
                   std::int64_t ahead);

}  // namespace seqrank
