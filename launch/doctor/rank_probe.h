// Finds out what this rank's facts are: the calls behind facts.h.
#pragma once

#include <optional>
#include <string>

#include "collective/communicator.h"
#include "data/dataset.h"
#include "launch/doctor/facts.h"
#include "models/options.h"

namespace seqrank {

// Collective. `run`: the options of the run alone; `call`: all options.
ProcessFacts own_process_facts(Communicator& comm, const std::string& command, const Options& run,
                               const Options& call);

// Not collective: a rank that cannot open its data says so in its facts. processes: of all ranks.
// `dataset` is set where --data is given and good.
StorageFacts own_storage_facts(const Options& run, int rank,
                               const std::vector<ProcessFacts>& processes,
                               std::optional<Dataset>& dataset);

}  // namespace seqrank
