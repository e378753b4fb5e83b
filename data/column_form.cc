// Everything that HDF5 allows and a data set must not do is refused here, before a value is read.
#include "data/column_form.h"

#include <algorithm>
#include <limits>

#include "backend/check.h"
#include "data/column.h"

namespace seqrank {
namespace {

constexpr std::int64_t kLargestChunk = std::int64_t{256} << 20;  // bytes
// Deflate cannot shrink by more than a factor of 1,032.
constexpr std::int64_t kLargestCompression = 1100;

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
void check_size(const File& file, const std::string& name, const OpenedColumn& column,
                bool compressed) {
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

void check_layout(const File& file, const std::string& name, OpenedColumn& column) {
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
void check_chunks(const File& file, const std::string& name, const OpenedColumn& column) {
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

}  // namespace

OpenedColumn open_column(const File& file, const hdf5::FileId& hdf5_file, const std::string& name,
                         H5T_class_t wanted) {
  SR_CHECK(has_column(file, hdf5_file, name), ErrorKind::data, "{}: has no data set {}",
           file.path(), name);
  OpenedColumn column;
  column.id = hdf5::DatasetId(H5Dopen2(hdf5_file.get(), name.c_str(), H5P_DEFAULT));
  hdf5::checked(column.id.get(), file.path(), name + " cannot be opened as a data set");
  column.type = hdf5::TypeId(H5Dget_type(column.id.get()));
  hdf5::checked(column.type.get(), file.path(), name + " has no readable type");
  SR_CHECK(H5Tget_class(column.type.get()) == wanted, ErrorKind::data, "{}: {}: must hold {}",
           file.path(), name,
           wanted == H5T_INTEGER ? "whole numbers"
           : wanted == H5T_FLOAT ? "real numbers"
                                 : "strings");
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

std::int64_t piece_rows(const OpenedColumn& column) {
  if (column.chunk_rows == 0) return kColumnPiece;
  return std::max<std::int64_t>(1, kColumnPiece / column.chunk_rows) * column.chunk_rows;
}

void read_through_hdf5(const File& file, const std::string& name, const OpenedColumn& column,
                       hid_t type, std::int64_t begin, std::int64_t count, void* out) {
  const hdf5::SpaceId space(H5Dget_space(column.id.get()));
  const hsize_t start = static_cast<hsize_t>(begin), extent = static_cast<hsize_t>(count);
  const hdf5::SpaceId memory(H5Screate_simple(1, &extent, nullptr));
  H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, &start, nullptr, &extent, nullptr);
  hdf5::checked(H5Dread(column.id.get(), type, memory.get(), space.get(), H5P_DEFAULT, out),
                file.path(),
                fmt::format("{}: rows {} to {} cannot be read", name, begin, begin + count - 1));
}

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

bool is_real_column(const File& file, const hdf5::FileId& hdf5_file, const std::string& name) {
  const hdf5::DatasetId id(H5Dopen2(hdf5_file.get(), name.c_str(), H5P_DEFAULT));
  hdf5::checked(id.get(), file.path(), name + " cannot be opened as a data set");
  const hdf5::TypeId type(H5Dget_type(id.get()));
  hdf5::checked(type.get(), file.path(), name + " has no readable type");
  return H5Tget_class(type.get()) == H5T_FLOAT;
}

std::vector<std::string> columns_of(const File& file, const hdf5::FileId& hdf5_file,
                                    const std::string& group) {
  std::vector<std::string> names;
  if (!has_column(file, hdf5_file, group)) return names;
  const hdf5::GroupId id(H5Gopen2(hdf5_file.get(), group.c_str(), H5P_DEFAULT));
  hdf5::checked(id.get(), file.path(), group + " cannot be opened as a group");
  H5G_info_t info;
  hdf5::checked(H5Gget_info(id.get(), &info), file.path(), group + " cannot be read");
  for (hsize_t i = 0; i < info.nlinks; ++i) {
    char name[256];
    const std::int64_t length =
        hdf5::checked(H5Lget_name_by_idx(id.get(), ".", H5_INDEX_NAME, H5_ITER_INC, i, name,
                                         sizeof name, H5P_DEFAULT),
                      file.path(), group + " cannot be listed");
    SR_CHECK(length < static_cast<std::int64_t>(sizeof name), ErrorKind::data,
             "{}: {}: a name has {} bytes; at most {} are allowed", file.path(), group, length,
             sizeof name - 1);
    names.emplace_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace seqrank
