// One column of a data set, checked for form when opened (data/column_form). Contiguous columns of
// the native type are read by pread; others are read whole, once, through HDF5 into memory. Values
// are data/validate's business.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/file.h"
#include "data/hdf5.h"

namespace seqrank {

// T: std::uint8_t, std::int32_t, std::int64_t or float. The file is not owned and must outlive
// reads.
template <class T>
class NumberColumn {
 public:
  NumberColumn() = default;
  NumberColumn(const File& file, const hdf5::FileId& hdf5_file, const std::string& name);
  // A column that was never in a file.
  NumberColumn(std::string name, std::vector<T> values)
      : name_(std::move(name)),
        rows_(static_cast<std::int64_t>(values.size())),
        values_(std::move(values)) {}
  const std::string& name() const { return name_; }
  std::int64_t rows() const { return rows_; }
  // Rows [begin, begin + out.size()), which must exist.
  void read(const File& file, std::int64_t begin, std::span<T> out) const;
  // Reads the values into memory, for those who read single rows.
  void keep(const File& file);

 private:
  std::string name_;
  std::int64_t rows_ = 0;
  std::int64_t offset_ = -1;  // of row 0 in the file; -1: the values are in memory
  std::vector<T> values_;
};

extern template class NumberColumn<std::uint8_t>;
extern template class NumberColumn<std::int32_t>;
extern template class NumberColumn<std::int64_t>;
extern template class NumberColumn<float>;

class TextColumn {
 public:
  TextColumn() = default;
  TextColumn(const File& file, const hdf5::FileId& hdf5_file, const std::string& name);
  const std::string& name() const { return name_; }
  std::int64_t rows() const { return rows_; }
  std::string at(const File& file, std::int64_t row) const;
  // The texts of all rows in order. Read by blocks: at() for each would be a call of the system for
  // each.
  void for_each(const File& file, const std::function<void(std::string_view)>& use) const;
  // The first row that holds the text; reads the column from its beginning.
  std::optional<std::int64_t> find(const File& file, const std::string& text) const;

 private:
  std::string_view trimmed(const char* cell) const;
  // Until `use` returns false.
  void read_while(const File& file, const std::function<bool(std::string_view)>& use) const;
  void read_variable(const File& file, const hdf5::FileId& hdf5_file, std::int64_t offset);

  std::string name_;
  std::int64_t rows_ = 0;
  std::int64_t offset_ = -1;
  std::int64_t width_ = 0;  // bytes of a cell in the file
  char padding_ = '\0';
  std::vector<std::string> values_;
};

// Whether the file has it at all. Throws if something of that name is not a hard link.
bool has_column(const File& file, const hdf5::FileId& hdf5_file, const std::string& name);
// Whether a column that is there holds real numbers (by its type, not its values).
bool is_real_column(const File& file, const hdf5::FileId& hdf5_file, const std::string& name);
// The columns of a group, by name; none where there is no such group.
std::vector<std::string> columns_of(const File& file, const hdf5::FileId& hdf5_file,
                                    const std::string& group);

}  // namespace seqrank
