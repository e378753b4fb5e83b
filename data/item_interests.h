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

// The interest of each item, 1 to options.interests; 0, unknown, where training has none of its
// events. Of a file that says so, training sequences; else all events but the last two of each
// sequence of three or more, and of each scene in it, so that no target of protocol p1 is read,
// neither of the whole nor of one scene. Throws Error(usage) where `memory` bytes are too few.
std::vector<std::int32_t> interests_of_items(const UserEvents& store,
                                             const std::vector<ValueColumn>& values,
                                             const PrepareOptions& options, std::size_t items,
                                             std::size_t memory);

// Replaces `store` by its events of one scene; those who have none are gone. Returns how many
// events went. count_V: events of each item, kept up to date. Throws Error(data) where no event is
// of that scene.
std::int64_t keep_domain(TempFolder& folder, std::unique_ptr<UserEvents>& store,
                         const std::vector<ValueColumn>& values, const std::string& name,
                         std::vector<std::uint32_t>& count_V);

}  // namespace seqrank
