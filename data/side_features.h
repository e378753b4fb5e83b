// Features of users and items from files of their own: read and sorted by key, then joined with
// sequences or items that come in the order of keys. Holds no table of keys.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "data/dataset_writer.h"
#include "data/external_sort.h"
#include "data/key_merge.h"
#include "data/prepare.h"
#include "data/value_column.h"

namespace seqrank {

class SideFeatures {
 public:
  // Reads the file. Its bad lines are counted in the report.
  SideFeatures(const PrepareOptions& options, const FeatureFile& file, FeatureOf of,
               TempFolder& folder, SortMemory memory, std::size_t most_bytes_of_values,
               PrepareReport& report);

  // The next row: the features of this key (as put_key wrote it), missing ones where the file does
  // not have it. Keys must not fall; `id` is the row they are written to (rising: by call).
  void add(std::string_view key, std::uint32_t id);
  // After the last row: writes all columns in the order of ids.
  void write(DatasetWriter& writer);
  std::int64_t without() const { return without_; }  // rows whose key the file does not have

 private:
  std::vector<ValueColumn> values_;
  ExternalSort by_key_, by_id_;
  std::unique_ptr<KeyMerge> merge_;
  std::int64_t without_ = 0;
};

// Features of items: keys in the order of id_V, which holds kNoItem where an item is not written.
void add_items(const TempFile& keys, const std::vector<std::uint32_t>& id_V,
               SideFeatures& features);

}  // namespace seqrank
