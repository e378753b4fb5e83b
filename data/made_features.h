// Features of items that were made from events, and of which protocol these were training events:
// who trains under another one would be told of what it tests. Makes none (data/item_interests.h).
#pragma once

#include <string>

#include "data/batch.h"
#include "data/protocol.h"

namespace seqrank {

// Attributes of the file: the protocol, and of temporal the time that all events are before. A
// feature without them was not made from events.
std::string made_for_attribute(const std::string& feature);
std::string made_before_attribute(const std::string& feature);

// Throws Error(usage), with a way out, where a column that is read was made from events that the
// protocol does not leave for training.
void check_made_features(const Protocol& protocol, const BatchNeeds& needs);

}  // namespace seqrank
