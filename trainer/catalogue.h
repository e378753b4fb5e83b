// The keys of a run's items, kept in its folder: what the rows of its tables mean, when the data
// that it was trained on is gone. The file is a data set without sequences, so `inspect`, h5py and
// this program read it as they read any other. Knows no parameters.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace seqrank {

// Writes `path` as a whole, or nothing where the items have no keys. Throws Error(checkpoint).
void write_catalogue(const std::string& path, const Dataset& dataset);

// The items of one data set as another numbers them.
struct ItemMatch {
  std::int64_t there = 0;              // how many items it has
  std::vector<std::int32_t> there_of;  // by item here: its number there, -1: it has none
};
ItemMatch same_items(std::int64_t items);  // numbered alike
// By key. Both have keys.
ItemMatch match_items(const Dataset& there, const Dataset& here);

}  // namespace seqrank
