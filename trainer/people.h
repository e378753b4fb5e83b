// Who is asked about. A person may have several sequences, sessions for instance, all of one key:
// the latest is meant, that with the newest last event; where there are no times or they are equal,
// the one that comes last in the file. Sequences without events are passed over where there are
// others.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace seqrank {

struct Person {
  std::string key;
  std::int64_t sequence;
};

// In the order asked for. Throws Error(usage) for an unknown key.
std::vector<Person> people_of(const Dataset& dataset, std::span<const std::string> keys);
// Everyone, in the order of their first sequences.
std::vector<Person> everyone(const Dataset& dataset);

}  // namespace seqrank
