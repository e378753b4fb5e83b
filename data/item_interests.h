// What prepare does with interests and scenes between filtering and writing: interests of items
// from the events that training reads, and the events of one scene alone. Finds no interests itself
// (data/interests.h) and writes nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "data/prepare.h"
#include "data/user_events.h"
#include "data/value_column.h"

namespace seqrank {

struct ItemInterests {
  std::vector<std::int32_t> interest_V;  // 1 to options.interests; 0: unknown. Empty: not asked for
  ProtocolKind protocol = ProtocolKind::p1;  // whose training events they were found in
  std::int64_t before = 0;                   // of temporal: which are those before this time
};

// Unknown are items of which training has no event. Read is what the protocol that is asked for
// (options.interests_for) leaves for training of the whole file and of each scene alone, so that
// no target is read of either. Throws Error(usage) where `memory` bytes are too few, and where
// there are no times for temporal.
ItemInterests interests_of_items(const UserEvents& store, const std::vector<ValueColumn>& values,
                                 const PrepareOptions& options, std::size_t items,
                                 std::size_t memory);

// Replaces `store` by its events of one scene; those who have none are gone. Returns how many
// events went. count_V: events of each item, kept up to date. Throws Error(data) where no event is
// of that scene.
std::int64_t keep_domain(TempFolder& folder, std::unique_ptr<UserEvents>& store,
                         const std::vector<ValueColumn>& values, const std::string& name,
                         std::vector<std::uint32_t>& count_V);

}  // namespace seqrank
