// The last passes of prepare: what is left of the events is counted, numbered and written with all
// that belongs to its sequences and items. Drops nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "data/dataset_writer.h"
#include "data/external_sort.h"
#include "data/prepare.h"
#include "data/side_features.h"
#include "data/user_events.h"
#include "data/value_column.h"

namespace seqrank {

// What tells the sequences of one user apart: split (1 byte) and row (6) behind the user's key.
// Nothing where a user has one sequence, or several that are cut from one.
inline constexpr std::size_t kTagBytes = 1 + 6;

struct PreparedEvents {
  std::unique_ptr<UserEvents> store;
  std::vector<ValueColumn> values;       // of its events' words
  std::unique_ptr<TempFile> item_keys;   // rising
  std::vector<std::uint32_t> count_V;    // events of an item; its id after numbering
  std::unique_ptr<ExternalSort> titles;  // empty: none, as the two that follow
  std::unique_ptr<SideFeatures> user_features, item_features;
};

// Fills the report's fields on what is written. The store is gone afterwards.
void write_prepared(PreparedEvents& events, const PrepareOptions& options, TempFolder& folder,
                    std::size_t memory, DatasetWriter& writer, PrepareReport& report,
                    const std::function<void(const PrepareProgress&)>& progress);

}  // namespace seqrank
