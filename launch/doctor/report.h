// A check-up for people and for programs.
#pragma once

#include <string>

#include "launch/doctor/checkup.h"

namespace seqrank {

// What `doctor` prints: table, summary, findings.
std::string checkup_text(const Checkup& checkup);
// The same for programs, with every rank for itself.
std::string checkup_json(const Checkup& checkup);

// What `train` says before step 1: warnings and errors on standard error, a line each, by one
// process; nothing when all is well. The exit code of the first error, or 0.
int tell_findings(const Checkup& checkup, const Communicator& comm);

// Whether this process speaks for all: rank 0, and of processes that are each alone in their world
// the launcher's first.
bool speaks(const Communicator& comm);

}  // namespace seqrank
