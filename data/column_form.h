// The form of a column, checked before a value is read: a hard link to a one-dimensional data set
// of the right class, stored in this file, with known filters, as large as it declares. What
// data/column opens its columns by; knows nothing of what the values mean.
#pragma once

#include <cstdint>
#include <string>

#include "data/file.h"
#include "data/hdf5.h"

namespace seqrank {

inline constexpr std::int64_t kColumnPiece = 1 << 16;  // rows read at once through HDF5, at least

struct OpenedColumn {
  hdf5::DatasetId id;
  hdf5::TypeId type;
  std::int64_t rows = 0;
  std::int64_t chunk_rows = 0;  // 0: not chunked
  std::int64_t offset = -1;     // -1: not contiguous
};

// wanted: H5T_INTEGER, H5T_FLOAT or H5T_STRING.
OpenedColumn open_column(const File& file, const hdf5::FileId& hdf5_file, const std::string& name,
                         H5T_class_t wanted);
// Rows read at once: whole chunks, so that none is unpacked twice.
std::int64_t piece_rows(const OpenedColumn& column);
// Reads rows [begin, begin + count) in memory type `type`.
void read_through_hdf5(const File& file, const std::string& name, const OpenedColumn& column,
                       hid_t type, std::int64_t begin, std::int64_t count, void* out);

}  // namespace seqrank
