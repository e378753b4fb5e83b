// The rules that values of a data set must keep, checked once, when it is opened, in bounded
// memory. Every error names file, data set, row, value and rule. Form is data/column's business.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "data/column.h"
#include "data/file.h"
#include "data/fingerprint.h"
#include "data/hdf5.h"

namespace seqrank {

// The schema version must be there and known; counts, where given, must agree.
void check_attributes(const std::string& path, const std::map<std::string, double>& attributes,
                      std::int64_t sequences, std::int64_t events);
// The number of items that is declared; -1: none is.
std::int64_t declared_items(const std::string& path, const hdf5::Attributes& attributes);
// Where one is declared, the content has it.
void check_fingerprint(const std::string& path, const hdf5::Attributes& attributes,
                       const std::string& found);
// Returns the offsets: they start at 0, never fall and end at the number of events.
std::vector<std::int64_t> read_offsets(const File& file, const NumberColumn<std::int64_t>& column,
                                       std::int64_t events, Fingerprint& fingerprint);
// Ids are in [0, items); items < 0: unknown. Returns the number of items.
std::int64_t check_items(const File& file, const NumberColumn<std::int32_t>& column,
                         std::int64_t items, Fingerprint& fingerprint);
// Times never fall inside a sequence.
void check_times(const File& file, const NumberColumn<std::int64_t>& column,
                 std::span<const std::int64_t> offsets);
// As many as there are events, each 0 or 1.
void check_labels(const File& file, const NumberColumn<std::uint8_t>& column, std::int64_t events,
                  Fingerprint& fingerprint);
// Returns the split of each sequence: 0, 1 or 2.
std::vector<std::uint8_t> read_splits(const File& file, const NumberColumn<std::uint8_t>& column,
                                      std::int64_t sequences, Fingerprint& fingerprint);
// Ids of a feature are in [0, values); values < 0: unknown. Returns the number of values.
std::int64_t check_ids(const File& file, const NumberColumn<std::int32_t>& column,
                       std::int64_t rows, std::int64_t values, Fingerprint& fingerprint);
// Numbers of a feature are finite.
void check_reals(const File& file, const NumberColumn<float>& column, std::int64_t rows,
                 Fingerprint& fingerprint);

}  // namespace seqrank
