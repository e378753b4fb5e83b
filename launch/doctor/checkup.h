// The checks before step 1: gathers facts, examines them, and gives every rank the same findings.
// `train` makes it short, `doctor` full. Writes nothing that stays and prints nothing; a failure
// that one rank alone can see is a finding, so that no peer is left waiting.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "collective/communicator.h"
#include "data/dataset.h"
#include "launch/doctor/examine.h"
#include "models/options.h"

namespace seqrank {

// brief: without what takes long, and ended by the first group of facts that has an error.
enum class Depth { brief, full };

struct Checkup {
  std::vector<ProcessFacts> processes;  // by rank, as all that follows
  std::vector<StorageFacts> storage;
  std::vector<ClockReading> clocks;
  std::vector<PairRate> pairs;
  double all_reduce_rate = 0;      // bytes a second (measure_all_reduce); 0: not measured
  std::vector<Finding> findings;   // in the order of what builds on what
  std::optional<Dataset> dataset;  // this rank's, where it is good
  int threads = 1;                 // of this rank
};

// Collective. `command` is train or doctor, `run` the options of the run, `call` all options.
Checkup check_up(Communicator& comm, const std::string& command, const Options& run,
                 const Options& call, Depth depth);

}  // namespace seqrank
