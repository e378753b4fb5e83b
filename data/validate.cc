// Columns are read once, front to back, in pieces of a megabyte or so.
#include "data/validate.h"

#include <algorithm>
#include <cmath>
#include <limits>

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

template <class T>
void check_rows(const File& file, const NumberColumn<T>& column, std::int64_t rows) {
  SR_CHECK(column.rows() == rows, ErrorKind::data, "{}: {}: has {} rows, there are {} {}",
           file.path(), column.name(), column.rows(), rows,
           column.name().starts_with("/event")  ? "events"
           : column.name().starts_with("/item") ? "items"
                                                : "sequences");
}

// Calls use(first row, values) piece by piece, and adds the values to the fingerprint.
template <class T, class Use>
void for_each_piece(const File& file, const NumberColumn<T>& column, Fingerprint& fingerprint,
                    const Use& use) {
  std::vector<T> piece;
  fingerprint.add_column(column.name(), {});  // that it is there counts, even if it is empty
  for (std::int64_t begin = 0; begin < column.rows(); begin += kPiece) {
    piece.resize(static_cast<std::size_t>(std::min(kPiece, column.rows() - begin)));
    column.read(file, begin, piece);
    fingerprint.add_column(column.name(), std::as_bytes(std::span(piece)));
    use(begin, std::span<const T>(piece));
  }
}

void check_most(const File& file, const NumberColumn<std::uint8_t>& column, std::uint8_t most,
                const char* rule, Fingerprint& fingerprint) {
  for_each_piece(file, column, fingerprint, [&](std::int64_t begin, auto values) {
    const auto high = std::max_element(values.begin(), values.end());
    SR_CHECK(*high <= most, ErrorKind::data, "{}: {}: row {}: value {}: must be {}", file.path(),
             column.name(), begin + (high - values.begin()), *high, rule);
  });
}

}  // namespace

std::int64_t declared_items(const std::string& path, const hdf5::Attributes& attributes) {
  const auto items = attributes.numbers.find("items");
  if (items == attributes.numbers.end()) return -1;
  SR_CHECK(items->second >= 0 && items->second <= std::numeric_limits<std::int32_t>::max() &&
               items->second == std::floor(items->second),
           ErrorKind::data, "{}: attribute items is {}; it must be a whole number below 2^31", path,
           items->second);
  return static_cast<std::int64_t>(items->second);
}

void check_fingerprint(const std::string& path, const hdf5::Attributes& attributes,
                       const std::string& found) {
  const auto declared = attributes.texts.find("fingerprint");
  SR_CHECK(declared == attributes.texts.end() || declared->second == found, ErrorKind::data,
           "{}: attribute fingerprint is {}, but the content gives {}: the file is damaged or was "
           "changed; delete the attribute to accept it as it is",
           path, declared->second, found);
}

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

void check_labels(const File& file, const NumberColumn<std::uint8_t>& column, std::int64_t events,
                  Fingerprint& fingerprint) {
  check_rows(file, column, events);
  check_most(file, column, 1, "0 or 1", fingerprint);
}

std::vector<std::uint8_t> read_splits(const File& file, const NumberColumn<std::uint8_t>& column,
                                      std::int64_t sequences, Fingerprint& fingerprint) {
  check_rows(file, column, sequences);
  check_most(file, column, 2, "0 (training), 1 (validation) or 2 (test)", fingerprint);
  std::vector<std::uint8_t> splits(static_cast<std::size_t>(sequences));
  column.read(file, 0, splits);
  return splits;
}

std::int64_t check_ids(const File& file, const NumberColumn<std::int32_t>& column,
                       std::int64_t rows, std::int64_t values, Fingerprint& fingerprint) {
  check_rows(file, column, rows);
  std::int64_t largest = 0;  // there is a value 0, used or not
  for_each_piece(file, column, fingerprint, [&](std::int64_t begin, auto ids) {
    const auto [low, high] = std::minmax_element(ids.begin(), ids.end());
    SR_CHECK(*low >= 0, ErrorKind::data, "{}: {}: row {}: value {}: ids start at 0", file.path(),
             column.name(), begin + (low - ids.begin()), *low);
    SR_CHECK(values < 0 || *high < values, ErrorKind::data,
             "{}: {}: row {}: value {}: must be less than the number of names, {}", file.path(),
             column.name(), begin + (high - ids.begin()), *high, values);
    largest = std::max<std::int64_t>(largest, *high);
  });
  return values < 0 ? largest + 1 : std::max<std::int64_t>(values, 1);
}

void check_reals(const File& file, const NumberColumn<float>& column, std::int64_t rows,
                 Fingerprint& fingerprint) {
  check_rows(file, column, rows);
  for_each_piece(file, column, fingerprint, [&](std::int64_t begin, auto numbers) {
    const auto bad =
        std::find_if(numbers.begin(), numbers.end(), [](float x) { return !std::isfinite(x); });
    SR_CHECK(bad == numbers.end(), ErrorKind::data,
             "{}: {}: row {}: value {}: must be finite; store 0, the mean, where it is missing",
             file.path(), column.name(), begin + (bad - numbers.begin()), *bad);
  });
}

}  // namespace seqrank
