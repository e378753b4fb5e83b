// Everything that HDF5 allows and a data set must not do is refused here, before a value is read.
#include "data/column.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <type_traits>

#include "backend/check.h"
#include "data/global_heap.h"

namespace seqrank {
namespace {

constexpr std::int64_t kPiece = 1 << 16;  // rows read at once through HDF5, at least
constexpr std::int64_t kLargestChunk = std::int64_t{256} << 20;  // bytes
// Deflate cannot shrink by more than a factor of 1,032.
constexpr std::int64_t kLargestCompression = 1100;

struct Opened {
  hdf5::DatasetId id;
  hdf5::TypeId type;
  std::int64_t rows = 0;
  std::int64_t chunk_rows = 0;  // 0: not chunked
  std::int64_t offset = -1;     // -1: not contiguous
};

void check_filters(const File& file, const std::string& name, hid_t creation, bool& compressed) {
  const int filters = H5Pget_nfilters(creation);
  SR_CHECK(filters >= 0, ErrorKind::data, "{}: {}: filters cannot be read", file.path(), name);
  for (int i = 0; i < filters; ++i) {
    unsigned flags = 0, config = 0;
    std::size_t values = 0;
    char text[64] = "";
    const H5Z_filter_t filter = H5Pget_filter2(creation, static_cast<unsigned>(i), &flags, &values,
                                               nullptr, sizeof text, text, &config);
    SR_CHECK(filter == H5Z_FILTER_DEFLATE || filter == H5Z_FILTER_SHUFFLE ||
                 filter == H5Z_FILTER_FLETCHER32,
             ErrorKind::data,
             "{}: {}: stored with filter {}; only deflate (gzip), shuffle and fletcher32 are read",
             file.path(), name, static_cast<int>(filter));
    compressed = compressed || filter == H5Z_FILTER_DEFLATE;
  }
}

// Declared against stored size, so that a damaged or hostile header cannot ask for much memory.
void check_size(const File& file, const std::string& name, const Opened& column, bool compressed) {
  const auto width = static_cast<std::int64_t>(H5Tget_size(column.type.get()));
  SR_CHECK(width > 0 && column.rows <= std::numeric_limits<std::int64_t>::max() / width,
           ErrorKind::data, "{}: {}: declares {} values of {} bytes, more than any file holds",
           file.path(), name, column.rows, width);
  const std::int64_t declared = column.rows * width, file_bytes = file.size();
  const auto stored = static_cast<std::int64_t>(H5Dget_storage_size(column.id.get()));
  const std::int64_t least = compressed ? declared / kLargestCompression : declared;
  SR_CHECK(stored >= least && least <= file_bytes, ErrorKind::data,
           "{}: {}: declares {} values of {} bytes but stores {} bytes in a file of {}",
           file.path(), name, column.rows, width, stored, file_bytes);
  SR_CHECK(column.offset < 0 || column.offset <= file_bytes - declared, ErrorKind::data,
           "{}: {}: ends at byte {} of a file of {}; it was cut short", file.path(), name,
           column.offset + declared, file_bytes);
  SR_CHECK(column.chunk_rows <= kLargestChunk / width, ErrorKind::data,
           "{}: {}: stored in chunks of {} values; store it in chunks of at most {} MiB",
           file.path(), name, column.chunk_rows, kLargestChunk >> 20);
}

void check_layout(const File& file, const std::string& name, Opened& column) {
  const hdf5::PropertyId creation(H5Dget_create_plist(column.id.get()));
  hdf5::checked(creation.get(), file.path(), name + " cannot be read");
  SR_CHECK(H5Pget_external_count(creation.get()) == 0, ErrorKind::data,
           "{}: {}: its values are in another file; copy them into this one", file.path(), name);
  bool compressed = false;
  switch (H5Pget_layout(creation.get())) {
    case H5D_COMPACT:
      break;
    case H5D_CONTIGUOUS: {
      const haddr_t offset = H5Dget_offset(column.id.get());
      if (offset != HADDR_UNDEF) column.offset = static_cast<std::int64_t>(offset);
      break;
    }
    case H5D_CHUNKED: {
      hsize_t chunk = 0;
      hdf5::checked(H5Pget_chunk(creation.get(), 1, &chunk), file.path(), name);
      column.chunk_rows = static_cast<std::int64_t>(chunk);
      check_filters(file, name, creation.get(), compressed);
      break;
    }
    case H5D_VIRTUAL:
      SR_CHECK(false, ErrorKind::data,
               "{}: {}: is a virtual data set over other files; copy the values into this one",
               file.path(), name);
      break;
    default:
      SR_CHECK(false, ErrorKind::data, "{}: {}: is stored in an unknown way: {}", file.path(), name,
               hdf5::last_error());
  }
  check_size(file, name, column, compressed);
}

// HDF5 1.10.8 subtracts the length of a checksum from a chunk's size without looking, and writes
// what a damaged size says: sizes are looked at here.
void check_chunks(const File& file, const std::string& name, const Opened& column) {
  const hdf5::SpaceId space(H5Dget_space(column.id.get()));
  hsize_t chunks = 0;
  hdf5::checked(H5Dget_num_chunks(column.id.get(), space.get(), &chunks), file.path(), name);
  const auto width = static_cast<hsize_t>(H5Tget_size(column.type.get()));
  // Deflate enlarges what it cannot shrink by a few bytes, the checksum by four.
  const hsize_t unpacked = static_cast<hsize_t>(column.chunk_rows) * width;
  const hsize_t most = unpacked + unpacked / 100 + 64;
  for (hsize_t i = 0; i < chunks; ++i) {
    hsize_t first_row = 0, bytes = 0;
    unsigned skipped_filters = 0;
    haddr_t address = 0;
    hdf5::checked(H5Dget_chunk_info(column.id.get(), space.get(), i, &first_row, &skipped_filters,
                                    &address, &bytes),
                  file.path(), name);
    const auto file_bytes = static_cast<hsize_t>(file.size());
    SR_CHECK(bytes > 4 && bytes <= most && address <= file_bytes && bytes <= file_bytes - address,
             ErrorKind::data, "{}: {}: chunk at row {}: stored size {}: it is damaged", file.path(),
             name, first_row, bytes);
  }
}

Opened open_column(const File& file, const hdf5::FileId& hdf5_file, const std::string& name,
                   H5T_class_t wanted) {
  SR_CHECK(has_column(file, hdf5_file, name), ErrorKind::data, "{}: has no data set {}",
           file.path(), name);
  Opened column;
  column.id = hdf5::DatasetId(H5Dopen2(hdf5_file.get(), name.c_str(), H5P_DEFAULT));
  hdf5::checked(column.id.get(), file.path(), name + " cannot be opened as a data set");
  column.type = hdf5::TypeId(H5Dget_type(column.id.get()));
  hdf5::checked(column.type.get(), file.path(), name + " has no readable type");
  SR_CHECK(H5Tget_class(column.type.get()) == wanted, ErrorKind::data, "{}: {}: must hold {}",
           file.path(), name, wanted == H5T_INTEGER ? "whole numbers" : "strings");
  const hdf5::SpaceId space(H5Dget_space(column.id.get()));
  SR_CHECK(H5Sget_simple_extent_ndims(space.get()) == 1, ErrorKind::data,
           "{}: {}: must have one dimension", file.path(), name);
  hsize_t rows = 0;
  hdf5::checked(H5Sget_simple_extent_dims(space.get(), &rows, nullptr), file.path(), name);
  SR_CHECK(rows <= static_cast<hsize_t>(std::numeric_limits<std::int64_t>::max()), ErrorKind::data,
           "{}: {}: declares {} values, more than any file holds", file.path(), name, rows);
  column.rows = static_cast<std::int64_t>(rows);
  check_layout(file, name, column);
  if (column.chunk_rows > 0 && column.rows > 0) check_chunks(file, name, column);
  return column;
}

// Rows read at once: whole chunks, so that none is unpacked twice.
std::int64_t piece_rows(const Opened& column) {
  if (column.chunk_rows == 0) return kPiece;
  return std::max<std::int64_t>(1, kPiece / column.chunk_rows) * column.chunk_rows;
}

// Reads rows [begin, begin + count) in memory type `type`.
void read_through_hdf5(const File& file, const std::string& name, const Opened& column, hid_t type,
                       std::int64_t begin, std::int64_t count, void* out) {
  const hdf5::SpaceId space(H5Dget_space(column.id.get()));
  const hsize_t start = static_cast<hsize_t>(begin), extent = static_cast<hsize_t>(count);
  const hdf5::SpaceId memory(H5Screate_simple(1, &extent, nullptr));
  H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, &start, nullptr, &extent, nullptr);
  hdf5::checked(H5Dread(column.id.get(), type, memory.get(), space.get(), H5P_DEFAULT, out),
                file.path(),
                fmt::format("{}: rows {} to {} cannot be read", name, begin, begin + count - 1));
}

}  // namespace

bool has_column(const File& file, const hdf5::FileId& hdf5_file, const std::string& name) {
  for (std::size_t end = name.find('/', 1);; end = name.find('/', end + 1)) {
    const std::string part = name.substr(0, end);
    const htri_t exists = H5Lexists(hdf5_file.get(), part.c_str(), H5P_DEFAULT);
    hdf5::checked(exists, file.path(), part + " cannot be looked up");
    if (exists == 0) return false;
    H5L_info_t info;
    hdf5::checked(H5Lget_info(hdf5_file.get(), part.c_str(), &info, H5P_DEFAULT), file.path(),
                  part + " cannot be looked up");
    SR_CHECK(info.type == H5L_TYPE_HARD, ErrorKind::data,
             "{}: {}: is {} link; copy the data set into its place", file.path(), part,
             info.type == H5L_TYPE_EXTERNAL ? "an external" : "a soft or user-defined");
    if (end == std::string::npos) return true;
  }
}

template <class T>
NumberColumn<T>::NumberColumn(const File& file, const hdf5::FileId& hdf5_file,
                              const std::string& name)
    : name_(name) {
  const Opened column = open_column(file, hdf5_file, name, H5T_INTEGER);
  rows_ = column.rows;
  const hid_t native = std::is_same_v<T, std::int32_t> ? H5T_NATIVE_INT32 : H5T_NATIVE_INT64;
  if (column.offset >= 0 && H5Tequal(column.type.get(), native) > 0) {
    offset_ = column.offset;
    return;
  }
  values_.resize(static_cast<std::size_t>(rows_));
  const std::int64_t step = piece_rows(column);
  std::vector<std::int64_t> piece;
  for (std::int64_t begin = 0; begin < rows_; begin += step) {
    const std::int64_t count = std::min(step, rows_ - begin);
    piece.resize(static_cast<std::size_t>(count));
    read_through_hdf5(file, name, column, H5T_NATIVE_INT64, begin, count, piece.data());
    for (std::int64_t i = 0; i < count; ++i) {
      const T value = static_cast<T>(piece[i]);
      SR_CHECK(value == piece[i], ErrorKind::data, "{}: {}: row {}: value {} does not fit {} bits",
               file.path(), name, begin + i, piece[i], 8 * sizeof(T));
      values_[begin + i] = value;
    }
  }
}

template <class T>
void NumberColumn<T>::read(const File& file, std::int64_t begin, std::span<T> out) const {
  const auto count = static_cast<std::int64_t>(out.size());
  SR_ASSERT(begin >= 0 && begin <= rows_ - count, "rows {} to {} of {}'s {}", begin, begin + count,
            name_, rows_);
  if (offset_ < 0) {
    std::copy_n(values_.begin() + begin, count, out.begin());
  } else {
    file.read_at(offset_ + begin * static_cast<std::int64_t>(sizeof(T)), out.data(),
                 out.size_bytes());
  }
}

template class NumberColumn<std::int32_t>;
template class NumberColumn<std::int64_t>;

TextColumn::TextColumn(const File& file, const hdf5::FileId& hdf5_file, const std::string& name)
    : name_(name) {
  const Opened column = open_column(file, hdf5_file, name, H5T_STRING);
  rows_ = column.rows;
  const hid_t type = column.type.get();
  width_ = static_cast<std::int64_t>(H5Tget_size(type));
  if (H5Tget_strpad(type) == H5T_STR_SPACEPAD) padding_ = ' ';
  const bool variable = H5Tis_variable_str(type) > 0;
  if (!variable && column.offset >= 0) {
    offset_ = column.offset;
    return;
  }
  if (variable) {
    read_variable(file, hdf5_file, column.offset);
    return;
  }
  const std::int64_t step = std::clamp<std::int64_t>((1 << 20) / width_, 1, 1024);
  std::vector<char> cells(static_cast<std::size_t>(step * width_));
  for (std::int64_t begin = 0; begin < rows_; begin += step) {
    const std::int64_t count = std::min(step, rows_ - begin);
    read_through_hdf5(file, name, column, type, begin, count, cells.data());
    for (std::int64_t i = 0; i < count; ++i) values_.push_back(trimmed(cells.data() + i * width_));
  }
}

void TextColumn::read_variable(const File& file, const hdf5::FileId& hdf5_file,
                               std::int64_t offset) {
  const hdf5::PropertyId creation(H5Fget_create_plist(hdf5_file.get()));
  std::size_t address_bytes = 0, length_bytes = 0;
  hsize_t base = 0;
  hdf5::checked(H5Pget_sizes(creation.get(), &address_bytes, &length_bytes), file.path(), name_);
  hdf5::checked(H5Pget_userblock(creation.get(), &base), file.path(), name_);
  SR_CHECK(rows_ == 0 || (offset >= 0 && address_bytes == 8 && length_bytes == 8 &&
                          static_cast<std::int64_t>(base) <= file.size()),
           ErrorKind::data,
           "{}: {}: strings of variable length are read from contiguous data sets with addresses "
           "of 8 bytes only; store it without chunks or compression, or with a fixed length",
           file.path(), name_);
  GlobalHeap heap(file, static_cast<std::int64_t>(base), name_);
  std::vector<char> cells;
  for (std::int64_t begin = 0; begin < rows_; begin += kPiece) {
    const std::int64_t count = std::min(kPiece, rows_ - begin);
    cells.resize(static_cast<std::size_t>(count * GlobalHeap::kReferenceBytes));
    file.read_at(offset + begin * GlobalHeap::kReferenceBytes, cells.data(), cells.size());
    for (std::int64_t i = 0; i < count; ++i)
      values_.push_back(heap.text(cells.data() + i * GlobalHeap::kReferenceBytes));
  }
}

std::string TextColumn::trimmed(const char* cell) const {
  std::size_t length = strnlen(cell, static_cast<std::size_t>(width_));
  while (padding_ == ' ' && length > 0 && cell[length - 1] == ' ') --length;
  return std::string(cell, length);
}

std::string TextColumn::at(const File& file, std::int64_t row) const {
  SR_ASSERT(row >= 0 && row < rows_, "row {} of {}'s {}", row, name_, rows_);
  if (offset_ < 0) return values_[row];
  std::vector<char> cell(static_cast<std::size_t>(width_));
  file.read_at(offset_ + row * width_, cell.data(), cell.size());
  return trimmed(cell.data());
}

std::optional<std::int64_t> TextColumn::find(const File& file, const std::string& text) const {
  if (offset_ < 0) {
    const auto found = std::find(values_.begin(), values_.end(), text);
    if (found == values_.end()) return std::nullopt;
    return found - values_.begin();
  }
  const std::int64_t step = std::max<std::int64_t>(1, (1 << 20) / width_);
  std::vector<char> cells;
  for (std::int64_t begin = 0; begin < rows_; begin += step) {
    const std::int64_t count = std::min(step, rows_ - begin);
    cells.resize(static_cast<std::size_t>(count * width_));
    file.read_at(offset_ + begin * width_, cells.data(), cells.size());
    for (std::int64_t i = 0; i < count; ++i)
      if (trimmed(cells.data() + i * width_) == text) return begin + i;
  }
  return std::nullopt;
}

}  // namespace seqrank
