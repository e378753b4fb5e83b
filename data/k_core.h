// The k-core: items with too few events and users with too few events go, until nothing changes.
// The result does not depend on the order in which they go. Memory: the counters it is given.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "data/user_events.h"

namespace seqrank {

struct CoreResult {
  int rounds = 0;
  std::int64_t events_rare_item = 0;
  std::int64_t events_short_user = 0;
};

// Replaces `store` by what is left of it. count_V: events of each item, kept up to date; 0: gone.
CoreResult keep_core(TempFolder& folder, std::unique_ptr<UserEvents>& store,
                     std::vector<std::uint32_t>& count_V, std::int64_t core_user,
                     std::int64_t core_item);

}  // namespace seqrank
