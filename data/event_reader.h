// Input files of prepare as events, in order, with the count of bad lines. One pass, nothing kept.
// Does not sort, number or filter.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "data/event_parser.h"
#include "data/prepare.h"

namespace seqrank {

// Fills the report's fields on columns and lines. Throws Error(data), also for too many bad lines.
// values: from event_values(), all of which every input must have.
void read_events(const PrepareOptions& options, std::vector<ValueColumn>& values,
                 PrepareReport& report, const std::function<void(const PrepareProgress&)>& progress,
                 const std::function<void(const TextEvent&)>& sink);

}  // namespace seqrank
