// Contiguous values of the native type stay in the file; everything else is converted once.
#include "data/column.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "backend/check.h"
#include "data/column_form.h"
#include "data/global_heap.h"

namespace seqrank {
namespace {

// The type in memory, and the one that values of other types are read in to see whether they fit.
template <class T>
hid_t native_type() {
  if constexpr (std::is_same_v<T, std::uint8_t>) return H5T_NATIVE_UINT8;
  if constexpr (std::is_same_v<T, std::int32_t>) return H5T_NATIVE_INT32;
  if constexpr (std::is_same_v<T, std::int64_t>) return H5T_NATIVE_INT64;
  if constexpr (std::is_same_v<T, float>) return H5T_NATIVE_FLOAT;
}

template <class T>
using Widest = std::conditional_t<std::is_same_v<T, float>, double, std::int64_t>;

}  // namespace

template <class T>
NumberColumn<T>::NumberColumn(const File& file, const hdf5::FileId& hdf5_file,
                              const std::string& name)
    : name_(name) {
  constexpr bool kReal = std::is_same_v<T, float>;
  const OpenedColumn column = open_column(file, hdf5_file, name, kReal ? H5T_FLOAT : H5T_INTEGER);
  rows_ = column.rows;
  if (column.offset >= 0 && H5Tequal(column.type.get(), native_type<T>()) > 0) {
    offset_ = column.offset;
    return;
  }
  values_.resize(static_cast<std::size_t>(rows_));
  const std::int64_t step = piece_rows(column);
  std::vector<Widest<T>> piece;
  for (std::int64_t begin = 0; begin < rows_; begin += step) {
    const std::int64_t count = std::min(step, rows_ - begin);
    piece.resize(static_cast<std::size_t>(count));
    read_through_hdf5(file, name, column, kReal ? H5T_NATIVE_DOUBLE : H5T_NATIVE_INT64, begin,
                      count, piece.data());
    for (std::int64_t i = 0; i < count; ++i) {
      const T value = static_cast<T>(piece[i]);
      SR_CHECK(kReal || static_cast<Widest<T>>(value) == piece[i], ErrorKind::data,
               "{}: {}: row {}: value {} does not fit {} bits", file.path(), name, begin + i,
               piece[i], 8 * sizeof(T));
      values_[begin + i] = value;
    }
  }
}

template <class T>
void NumberColumn<T>::keep(const File& file) {
  if (offset_ < 0) return;
  std::vector<T> values(static_cast<std::size_t>(rows_));
  read(file, 0, values);
  values_ = std::move(values);
  offset_ = -1;
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

template class NumberColumn<std::uint8_t>;
template class NumberColumn<std::int32_t>;
template class NumberColumn<std::int64_t>;
template class NumberColumn<float>;

TextColumn::TextColumn(const File& file, const hdf5::FileId& hdf5_file, const std::string& name)
    : name_(name) {
  const OpenedColumn column = open_column(file, hdf5_file, name, H5T_STRING);
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
    for (std::int64_t i = 0; i < count; ++i)
      values_.emplace_back(trimmed(cells.data() + i * width_));
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
  for (std::int64_t begin = 0; begin < rows_; begin += kColumnPiece) {
    const std::int64_t count = std::min(kColumnPiece, rows_ - begin);
    cells.resize(static_cast<std::size_t>(count * GlobalHeap::kReferenceBytes));
    file.read_at(offset + begin * GlobalHeap::kReferenceBytes, cells.data(), cells.size());
    for (std::int64_t i = 0; i < count; ++i)
      values_.push_back(heap.text(cells.data() + i * GlobalHeap::kReferenceBytes));
  }
}

std::string_view TextColumn::trimmed(const char* cell) const {
  std::size_t length = strnlen(cell, static_cast<std::size_t>(width_));
  while (padding_ == ' ' && length > 0 && cell[length - 1] == ' ') --length;
  return {cell, length};
}

std::string TextColumn::at(const File& file, std::int64_t row) const {
  SR_ASSERT(row >= 0 && row < rows_, "row {} of {}'s {}", row, name_, rows_);
  if (offset_ < 0) return values_[row];
  std::vector<char> cell(static_cast<std::size_t>(width_));
  file.read_at(offset_ + row * width_, cell.data(), cell.size());
  return std::string(trimmed(cell.data()));
}

void TextColumn::read_while(const File& file,
                            const std::function<bool(std::string_view)>& use) const {
  if (offset_ < 0) {
    for (const std::string& text : values_)
      if (!use(text)) return;
    return;
  }
  const std::int64_t step = std::max<std::int64_t>(1, (1 << 20) / width_);
  std::vector<char> cells;
  for (std::int64_t begin = 0; begin < rows_; begin += step) {
    const std::int64_t count = std::min(step, rows_ - begin);
    cells.resize(static_cast<std::size_t>(count * width_));
    file.read_at(offset_ + begin * width_, cells.data(), cells.size());
    for (std::int64_t i = 0; i < count; ++i)
      if (!use(trimmed(cells.data() + i * width_))) return;
  }
}

void TextColumn::for_each(const File& file,
                          const std::function<void(std::string_view)>& use) const {
  read_while(file, [&](std::string_view text) {
    use(text);
    return true;
  });
}

std::optional<std::int64_t> TextColumn::find(const File& file, const std::string& text) const {
  std::int64_t row = 0;
  bool found = false;
  read_while(file, [&](std::string_view here) {
    found = here == text;
    row += !found;
    return !found;
  });
  return found ? std::optional(row) : std::nullopt;
}

}  // namespace seqrank
