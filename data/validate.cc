// Columns are read once, front to back, in pieces of a megabyte or so.
#include "data/validate.h"

#include <algorithm>
#include <cmath>

#include "backend/check.h"
#include "data/dataset.h"

namespace seqrank {
namespace {

constexpr std::int64_t kPiece = 1 << 18;  // rows

void check_count(const std::string& path, const std::map<std::string, double>& attributes,
                 const char* name, std::int64_t found, const char* column) {
  const auto declared = attributes.find(name);
  SR_CHECK(declared == attributes.end() || declared->second == static_cast<double>(found),
           ErrorKind::data, "{}: attribute {} is {}, but {} gives {}", path, name, declared->second,
           column, found);
}

}  // namespace

void check_attributes(const std::string& path, const std::map<std::string, double>& attributes,
                      std::int64_t sequences, std::int64_t events) {
  const auto version = attributes.find("schema_version");
  SR_CHECK(
      version != attributes.end(), ErrorKind::data,
      "{}: has no root attribute schema_version; it is no data set of seqrank, or set it to {}",
      path, kSchemaVersion);
  SR_CHECK(version->second <= kSchemaVersion, ErrorKind::data,
           "{}: has schema version {}, this program reads up to {}; use a newer seqrank", path,
           version->second, kSchemaVersion);
  SR_CHECK(version->second == kSchemaVersion, ErrorKind::data,
           "{}: has schema version {}, which never was; set it to {}", path, version->second,
           kSchemaVersion);
  check_count(path, attributes, "sequences", sequences, "/sequence/offset");
  check_count(path, attributes, "events", events, "/event/item");
}

std::vector<std::int64_t> read_offsets(const File& file, const NumberColumn<std::int64_t>& column,
                                       std::int64_t events, Fingerprint& fingerprint) {
  SR_CHECK(column.rows() >= 1, ErrorKind::data,
           "{}: {}: is empty; it needs one value more than there are sequences", file.path(),
           column.name());
  std::vector<std::int64_t> offsets(static_cast<std::size_t>(column.rows()));
  column.read(file, 0, offsets);
  SR_CHECK(offsets.front() == 0, ErrorKind::data, "{}: {}: row 0: value {}: must be 0", file.path(),
           column.name(), offsets.front());
  for (std::size_t i = 1; i < offsets.size(); ++i) {
    SR_CHECK(offsets[i] >= offsets[i - 1], ErrorKind::data,
             "{}: {}: row {}: value {}: must not fall, the row before has {}", file.path(),
             column.name(), i, offsets[i], offsets[i - 1]);
  }
  SR_CHECK(offsets.back() == events, ErrorKind::data,
           "{}: {}: row {}: value {}: the last must be {}, the length of /event/item", file.path(),
           column.name(), offsets.size() - 1, offsets.back(), events);
  fingerprint.add_offsets(offsets);
  return offsets;
}

std::int64_t check_items(const File& file, const NumberColumn<std::int32_t>& column,
                         std::int64_t items, Fingerprint& fingerprint) {
  std::vector<std::int32_t> piece;
  std::int64_t largest = -1;
  for (std::int64_t begin = 0; begin < column.rows(); begin += kPiece) {
    piece.resize(static_cast<std::size_t>(std::min(kPiece, column.rows() - begin)));
    column.read(file, begin, piece);
    fingerprint.add_items(piece);
    const auto [low, high] = std::minmax_element(piece.begin(), piece.end());
    SR_CHECK(*low >= 0, ErrorKind::data, "{}: {}: row {}: value {}: item ids start at 0",
             file.path(), column.name(), begin + (low - piece.begin()), *low);
    SR_CHECK(items < 0 || *high < items, ErrorKind::data,
             "{}: {}: row {}: value {}: must be less than the number of items, {}", file.path(),
             column.name(), begin + (high - piece.begin()), *high, items);
    largest = std::max<std::int64_t>(largest, *high);
  }
  return items < 0 ? largest + 1 : items;
}

void check_times(const File& file, const NumberColumn<std::int64_t>& column,
                 std::span<const std::int64_t> offsets) {
  SR_CHECK(column.rows() == offsets.back(), ErrorKind::data,
           "{}: {}: has {} rows, /event/item has {}", file.path(), column.name(), column.rows(),
           offsets.back());
  std::vector<std::int64_t> piece;
  std::size_t next = 0;  // the sequence that begins at or after the current row
  std::int64_t before = 0;
  for (std::int64_t begin = 0; begin < column.rows(); begin += kPiece) {
    piece.resize(static_cast<std::size_t>(std::min(kPiece, column.rows() - begin)));
    column.read(file, begin, piece);
    for (std::int64_t i = 0; i < static_cast<std::int64_t>(piece.size()); ++i) {
      const std::int64_t row = begin + i;
      while (offsets[next] < row) ++next;
      SR_CHECK(offsets[next] == row || piece[i] >= before, ErrorKind::data,
               "{}: {}: row {} (sequence {}): value {}: time must not fall inside a sequence, the "
               "row before has {}",
               file.path(), column.name(), row, next - 1, piece[i], before);
      before = piece[i];
    }
  }
}

}  // namespace seqrank
