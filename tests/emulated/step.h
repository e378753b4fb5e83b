// A training step in which much can be forgotten: two ranks as threads, each with a compute and a
// communication stream, two gradient buckets that leave as they are complete, staged through pinned
// memory. The planted fault (fault.h) is in it.
#pragma once

namespace seqrank::emu {

// Trains two ranks for `steps` steps; whether weights and losses are those of a sequential
// reference in double precision.
bool training_is_right(int steps);

}  // namespace seqrank::emu
