// A history without one of its events, for each of them: what a recommendation rests on.
#pragma once

#include "backend/arena.h"
#include "data/batch.h"

namespace seqrank {

// From a batch of one sequence of N >= 2 events in host memory: for each event in [begin, end), a
// sequence of the N - 1 others. Columns, times and
// labels go with their events, but for `position`, which is counted anew; a gap of time is that to
// the event that was before. target_N, rows and global counts are left out.
Batch leave_one_out(Arena& arena, const Batch& one, std::int64_t begin, std::int64_t end);

}  // namespace seqrank
