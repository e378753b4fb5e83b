// What only several ranks together can find out: how far their clocks are apart, and how fast
// neighbours exchange. Measures; says nothing of what is slow.
#pragma once

#include <vector>

#include "backend/context.h"
#include "collective/communicator.h"
#include "launch/doctor/examine.h"
#include "trainer/fault.h"

namespace seqrank {

// By rank, the same on all. Collective.
std::vector<ClockReading> measure_clocks(Communicator& comm);

inline constexpr std::int64_t kExchangeBytes = 1 << 20;

// Every rank with the next one, the last with the first; neighbours of all pairs at once, as in a
// ring. The same on all ranks. Collective; about a second, longer where the slowest pair is slow.
std::vector<PairRate> measure_exchange(Communicator& comm, const FaultPlan& faults);

inline constexpr std::int64_t kAllReduceBytes = 64 << 20;

// Of an all-reduce of kAllReduceBytes between the devices of two or more ranks, the best of some:
// bytes a second that each device sends, as nccl-tests' "bus bandwidth". The same on all ranks.
// Collective; a second.
double measure_all_reduce(Communicators ranks, Context& ctx);

}  // namespace seqrank
