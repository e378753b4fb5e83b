// The last passes of prepare: what is left of the events is counted, numbered and written with all
// that belongs to its sequences and items. Drops nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "data/dataset.h"
#include "data/dataset_writer.h"
#include "data/external_sort.h"
#include "data/item_interests.h"
#include "data/prepare.h"
#include "data/side_features.h"
#include "data/user_events.h"
#include "data/value_column.h"

namespace seqrank {

// What tells the sequences of one user apart: split (1 byte) and row (6) behind the user's key.
// Nothing where a user has one sequence, or several that are cut from one.
inline constexpr std::size_t kTagBytes = 1 + 6;

// What a key and what stands behind it say of the split; training where nothing does.
Split split_of_key(std::string_view key);
// Training sequences, the last ones, that are for validation.
std::int64_t held_out_sequences(const PrepareOptions& options, std::int64_t training);

struct PreparedEvents {
  std::unique_ptr<UserEvents> store;
  std::vector<ValueColumn> values;      // of its events' words
  std::unique_ptr<TempFile> item_keys;  // rising
  std::vector<std::uint32_t> count_V;   // events of an item; its id after numbering
  ItemInterests interests;
  std::unique_ptr<ExternalSort> titles;  // empty: none, as the two that follow
  std::unique_ptr<SideFeatures> user_features, item_features;
};

// Fills the report's fields on what is written. The store is gone afterwards.
void write_prepared(PreparedEvents& events, const PrepareOptions& options, TempFolder& folder,
                    std::size_t memory, DatasetWriter& writer, PrepareReport& report,
                    const std::function<void(const PrepareProgress&)>& progress);

}  // namespace seqrank
