// What is left to do with items once their events are counted: ids by frequency, and keys and
// titles in the order of those ids, by sorting and merging. Holds no text.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "data/dataset_writer.h"
#include "data/external_sort.h"
#include "data/prepare.h"

namespace seqrank {

inline constexpr std::uint32_t kNoItem = 0xffffffff;

// Turns the events of each item into its id, in place: by falling count, equal counts in the order
// they stand in; kNoItem where the count is 0. Returns the number of ids.
std::int64_t number_by_frequency(std::vector<std::uint32_t>& count_V);

// The titles file as records (key, title), sorted by key. None: options name no such file.
std::unique_ptr<ExternalSort> read_titles(const PrepareOptions& options, TempFolder& folder,
                                          SortMemory memory, PrepareReport& report);

// Writes keys, and titles where there are any, in rising id. keys: in the order of id_V. An item
// without a title gets its key.
void write_item_text(const TempFile& keys, const std::vector<std::uint32_t>& id_V,
                     ExternalSort* titles, TempFolder& folder, std::size_t memory,
                     DatasetWriter& writer, PrepareReport& report);

}  // namespace seqrank
