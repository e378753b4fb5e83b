// The ranks as a table of one screen, however many there are: ranks that are alike share a row.
#pragma once

#include <string>
#include <vector>

#include "launch/doctor/facts.h"

namespace seqrank {

std::string rank_table(const std::vector<ProcessFacts>& processes);

}  // namespace seqrank
