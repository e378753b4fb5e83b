// The features of a data set in its file: checked when opened, then read. Actions and domains of
// events are features that have places of their own.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/column.h"
#include "data/feature.h"
#include "data/file.h"
#include "data/fingerprint.h"

namespace seqrank {

class FeatureColumns {
 public:
  FeatureColumns() = default;
  // rows: of events, sequences or items. Features of users and items are kept in memory.
  FeatureColumns(const File& file, const hdf5::FileId& hdf5_file, FeatureOf of, std::int64_t rows,
                 Fingerprint& fingerprint);
  const std::vector<Feature>& list() const { return list_; }
  // Rows [begin, begin + out.size()) of a feature of ids, or of one of numbers.
  void read(const File& file, const std::string& name, std::int64_t begin,
            std::span<std::int32_t> out) const;
  void read(const File& file, const std::string& name, std::int64_t begin,
            std::span<float> out) const;
  // One value for each of the rows.
  void gather(const File& file, const std::string& name, std::span<const std::int32_t> rows,
              std::span<std::int32_t> out) const;
  void gather(const File& file, const std::string& name, std::span<const std::int32_t> rows,
              std::span<float> out) const;
  // The text of an id; the id itself where the file has none.
  std::string value(const File& file, const std::string& name, std::int64_t id) const;

 private:
  struct Column {
    NumberColumn<std::int32_t> ids;
    NumberColumn<float> numbers;
    std::optional<TextColumn> values;
  };
  void add(const File& file, const hdf5::FileId& hdf5_file, const std::string& name,
           const std::string& place, const std::string& values_place, std::int64_t rows,
           Fingerprint& fingerprint);
  const Column& column(const std::string& name, bool numbers) const;
  void check_ids_still(const File& file, const std::string& name,
                       std::span<const std::int32_t> ids) const;

  std::vector<Feature> list_;
  std::vector<Column> columns_;
};

}  // namespace seqrank
