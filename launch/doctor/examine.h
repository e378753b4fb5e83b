// From the facts of all ranks to what is wrong: pure functions, so that every rank comes to the
// same findings without asking another, and a test can invent any machine. Findings come worst
// consequence first within a function.
#pragma once

#include <string>
#include <vector>

#include "launch/doctor/facts.h"
#include "launch/doctor/finding.h"

namespace seqrank {

// Is the world what the launcher meant it to be? `command`: what to write in the right line.
std::vector<Finding> examine_launch(const std::vector<ProcessFacts>& processes,
                                    const std::string& command);

// Same program, same options, same libraries everywhere?
std::vector<Finding> examine_sameness(const std::vector<ProcessFacts>& processes);

// Cores and processors for all ranks and their threads?
std::vector<Finding> examine_processors(const std::vector<ProcessFacts>& processes);

// A driver, and a device for each rank? Devices are told apart by their PCI bus ids.
std::vector<Finding> examine_devices(const std::vector<ProcessFacts>& processes);

// Same data everywhere, a run folder that all can write, room for checkpoints?
std::vector<Finding> examine_storage(const std::vector<StorageFacts>& storage);

// How far a rank's clock is ahead of rank 0's, in seconds, known to +- uncertainty.
struct ClockReading {
  double ahead = 0;
  double uncertainty = 0;
};
std::vector<Finding> examine_clocks(const std::vector<ClockReading>& clocks);

// Exchange between two neighbouring ranks, the best of several.
struct PairRate {
  int first = 0, second = 0;
  double seconds_small = 0;     // for 8 bytes each way: all latency
  double bytes_per_second = 0;  // of a large one, each way
};
// Neighbours within a node are compared with each other, those across nodes likewise, and both with
// a floor, since two ranks have no neighbours to compare.
std::vector<Finding> examine_exchange(const std::vector<PairRate>& pairs,
                                      const std::vector<Seat>& seats);

// Bytes of one checkpoint: its elements, and what describes them.
std::int64_t checkpoint_bytes(std::int64_t elements, std::size_t ranks);

}  // namespace seqrank
