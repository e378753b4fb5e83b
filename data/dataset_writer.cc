// The length of a contiguous column must be known before it is laid out, so columns are spooled to
// nameless files beside the output and copied into place by finish(): memory stays at one buffer a
// column, the disk holds the data twice for a moment. HDF5 itself writes only some kilobytes.
#include "data/dataset_writer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <variant>
#include <vector>

#include "backend/check.h"
#include "data/dataset.h"
#include "data/file.h"
#include "data/fingerprint.h"
#include "data/hdf5.h"

namespace seqrank {
namespace {

constexpr std::size_t kBuffer = 1 << 20;
// Longer keys and titles are refused: a column is padded to its longest string.
constexpr std::size_t kLongestText = 4096;

// Bytes appended to a nameless file.
class Spool {
 public:
  explicit Spool(const std::string& path) : file_(File::temporary_beside(path)) {}
  std::int64_t bytes() const { return written_ + static_cast<std::int64_t>(buffer_.size()); }

  void append(const void* data, std::size_t bytes) {
    const auto* begin = static_cast<const char*>(data);
    buffer_.insert(buffer_.end(), begin, begin + bytes);
    if (buffer_.size() >= kBuffer) flush();
  }
  void flush() {
    file_.write_at(written_, buffer_.data(), buffer_.size());
    written_ += static_cast<std::int64_t>(buffer_.size());
    buffer_.clear();
  }
  // Calls use(bytes of data, count) over the whole of it, in order.
  template <class Use>
  void for_each_piece(Use use) {
    flush();
    std::vector<char> piece(kBuffer);
    for (std::int64_t at = 0; at < written_;) {
      const auto bytes = std::min<std::int64_t>(kBuffer, written_ - at);
      file_.read_at(at, piece.data(), static_cast<std::size_t>(bytes));
      use(piece.data(), static_cast<std::size_t>(bytes));
      at += bytes;
    }
  }

 private:
  File file_;
  std::vector<char> buffer_;
  std::int64_t written_ = 0;
};

// Strings end with NUL in the spool, and are padded with it to the longest in the file.
struct TextSpool {
  explicit TextSpool(const std::string& path) : spool(path) {}
  void append(const std::string& path, const char* what, std::string_view text) {
    SR_CHECK(text.size() <= kLongestText, ErrorKind::data,
             "{}: {} {} has {} bytes; the longest allowed is {}", path, what, rows, text.size(),
             kLongestText);
    SR_CHECK(text.find('\0') == std::string::npos, ErrorKind::data,
             "{}: {} {} contains a NUL byte; remove it from the input", path, what, rows);
    spool.append(text.data(), text.size());
    spool.append("", 1);
    longest = std::max(longest, text.size());
    ++rows;
  }
  void copy_padded(const File& out, std::int64_t offset) {
    std::vector<char> padded;
    std::size_t column = 0;  // bytes of the current row
    const auto write = [&] {
      out.write_at(offset, padded.data(), padded.size());
      offset += static_cast<std::int64_t>(padded.size());
      padded.clear();
    };
    spool.for_each_piece([&](const char* data, std::size_t bytes) {
      for (std::size_t i = 0; i < bytes; ++i) {
        if (data[i] != '\0') {
          padded.push_back(data[i]);
          ++column;
          continue;
        }
        padded.resize(padded.size() + longest - column, '\0');
        column = 0;
        if (padded.size() >= kBuffer) write();
      }
    });
    write();
  }
  Spool spool;
  std::int64_t rows = 0;
  std::size_t longest = 1;  // HDF5 has no strings of no bytes
};

struct NumberSpool {
  NumberSpool(const std::string& path, hid_t hdf5_type) : spool(path), type(hdf5_type) {}
  Spool spool;
  hid_t type;
  std::int64_t rows = 0;
};

}  // namespace

struct DatasetWriter::Impl {
  explicit Impl(const std::string& out_path) : path(out_path), offsets(out_path), items(out_path) {
    temporary = fmt::format("{}.tmp-{}", path, ::getpid());
    struct stat status {};
    SR_CHECK(::stat(path.c_str(), &status) != 0 || S_ISREG(status.st_mode), ErrorKind::data,
             "{}: is not a regular file; give the name of a file to write", path);
    add_offset(0);
  }
  ~Impl() {
    if (temporary_exists) ::unlink(temporary.c_str());
  }

  void add_offset(std::int64_t offset) {
    offsets.append(&offset, sizeof offset);
    fingerprint.add_offsets({&offset, 1});
  }
  void add_text(std::optional<TextSpool>& column, const char* what, std::string_view text) {
    if (!column) column.emplace(path);
    column->append(path, what, text);
  }
  void copy(Spool& spool, const File& out, std::int64_t offset) {
    spool.for_each_piece([&](const char* data, std::size_t bytes) {
      out.write_at(offset, data, bytes);
      offset += static_cast<std::int64_t>(bytes);
    });
  }
  void append(const std::string& place, hid_t type, std::span<const std::byte> values,
              std::int64_t rows) {
    const auto [at, added] = columns.try_emplace(place, path, type);
    SR_ASSERT(at->second.type == type, "{} holds values of two types", place);
    at->second.spool.append(values.data(), values.size());
    at->second.rows += rows;
    fingerprint.add_column(place, values);
  }
  void check_rows(std::int64_t item_count) const;
  void write(std::int64_t item_count);

  std::string path, temporary;
  bool temporary_exists = false;
  Spool offsets, items;
  std::optional<Spool> times;
  std::map<std::string, NumberSpool> columns;  // by place, as the two that follow
  std::map<std::string, TextSpool> texts;
  std::optional<TextSpool> user_keys, item_keys, item_titles;
  std::map<std::string, std::variant<double, std::string>> attributes;
  std::int64_t sequences = 0, events = 0;
  std::int32_t largest_item = -1;
  Fingerprint fingerprint;
};

void DatasetWriter::Impl::check_rows(std::int64_t item_count) const {
  for (const auto& [place, numbers] : columns) {
    const std::int64_t rows = place.starts_with("/event/")  ? events
                              : place.starts_with("/item/") ? item_count
                                                            : sequences;
    SR_ASSERT(numbers.rows == rows, "{}: {} rows instead of {}", place, numbers.rows, rows);
  }
}

// Lays the file out through HDF5, closes it, then fills the columns.
void DatasetWriter::Impl::write(std::int64_t item_count) {
  const hdf5::QuietErrors quiet;
  temporary_exists = true;
  hdf5::FileId file = hdf5::create(temporary);
  const auto column = [&](const char* name, hid_t type, std::int64_t rows) {
    return hdf5::create_column(file, path, name, type, rows);
  };
  const auto text_column = [&](const char* name, const std::optional<TextSpool>& text) {
    if (!text) return std::int64_t{0};
    return column(name, hdf5::fixed_string(text->longest).get(), text->rows);
  };
  const std::int64_t offset_at = column("/sequence/offset", H5T_STD_I64LE, sequences + 1);
  const std::int64_t item_at = column("/event/item", H5T_STD_I32LE, events);
  const std::int64_t time_at = times ? column("/event/time", H5T_STD_I64LE, events) : 0;
  const std::int64_t user_key_at = text_column("/user/key", user_keys);
  const std::int64_t item_key_at = text_column("/item/key", item_keys);
  const std::int64_t item_title_at = text_column("/item/title", item_titles);
  std::map<std::string, std::int64_t> place_at;
  for (const auto& [place, numbers] : columns)
    place_at[place] = column(place.c_str(), numbers.type, numbers.rows);
  for (const auto& [place, text] : texts)
    place_at[place] = column(place.c_str(), hdf5::fixed_string(text.longest).get(), text.rows);

  hdf5::write_attribute(file, path, "schema_version", std::int64_t{kSchemaVersion});
  hdf5::write_attribute(file, path, "sequences", sequences);
  hdf5::write_attribute(file, path, "items", item_count);
  hdf5::write_attribute(file, path, "events", events);
  hdf5::write_attribute(file, path, "fingerprint", fingerprint.hex());
  for (const auto& [name, value] : attributes)
    std::visit([&](const auto& v) { hdf5::write_attribute(file, path, name, v); }, value);
  SR_CHECK(file.close(), ErrorKind::data, "{}: cannot be written: {}", path, hdf5::last_error());

  const File out(temporary, O_RDWR);
  copy(offsets, out, offset_at);
  copy(items, out, item_at);
  if (times) copy(*times, out, time_at);
  if (user_keys) user_keys->copy_padded(out, user_key_at);
  if (item_keys) item_keys->copy_padded(out, item_key_at);
  if (item_titles) item_titles->copy_padded(out, item_title_at);
  for (auto& [place, numbers] : columns) copy(numbers.spool, out, place_at.at(place));
  for (auto& [place, text] : texts) text.copy_padded(out, place_at.at(place));
  out.sync();
}

DatasetWriter::DatasetWriter(const std::string& path) : impl_(std::make_unique<Impl>(path)) {}
DatasetWriter::~DatasetWriter() = default;

void DatasetWriter::add_sequence(std::span<const std::int32_t> items,
                                 std::span<const std::int64_t> times) {
  Impl& w = *impl_;
  SR_ASSERT(times.empty() || times.size() == items.size(), "{} times of {} events", times.size(),
            items.size());
  if (!times.empty() && w.events == 0) w.times.emplace(w.path);
  SR_ASSERT(items.empty() || w.times.has_value() == !times.empty(), "times of some sequences only");
  for (const std::int32_t item : items) {
    SR_ASSERT(item >= 0, "item id {} in sequence {}", item, w.sequences);
    w.largest_item = std::max(w.largest_item, item);
  }
  w.items.append(items.data(), items.size_bytes());
  w.fingerprint.add_items(items);
  if (w.times) w.times->append(times.data(), times.size_bytes());
  w.events += static_cast<std::int64_t>(items.size());
  ++w.sequences;
  w.add_offset(w.events);
}

void DatasetWriter::append(const std::string& place, std::span<const std::uint8_t> values) {
  impl_->append(place, H5T_STD_U8LE, std::as_bytes(values), std::ssize(values));
}
void DatasetWriter::append(const std::string& place, std::span<const std::int32_t> values) {
  impl_->append(place, H5T_STD_I32LE, std::as_bytes(values), std::ssize(values));
}
void DatasetWriter::append(const std::string& place, std::span<const float> values) {
  impl_->append(place, H5T_IEEE_F32LE, std::as_bytes(values), std::ssize(values));
}
void DatasetWriter::append_text(const std::string& place, const std::string& text) {
  impl_->texts.try_emplace(place, impl_->path)
      .first->second.append(impl_->path, place.c_str(), text);
}

void DatasetWriter::add_user_key(const std::string& key) {
  impl_->add_text(impl_->user_keys, "user key", key);
}
void DatasetWriter::add_item_key(std::string_view key) {
  impl_->add_text(impl_->item_keys, "item key", key);
}
void DatasetWriter::add_item_title(std::string_view title) {
  impl_->add_text(impl_->item_titles, "item title", title);
}
void DatasetWriter::set_attribute(const std::string& name, double value) {
  impl_->attributes[name] = value;
}
void DatasetWriter::set_attribute(const std::string& name, const std::string& value) {
  impl_->attributes[name] = value;
}

void DatasetWriter::finish(std::int64_t items) {
  Impl& w = *impl_;
  SR_ASSERT(w.largest_item < items, "item id {} of {} items", w.largest_item, items);
  SR_ASSERT(!w.user_keys || w.user_keys->rows == w.sequences, "{} user keys of {} sequences",
            w.user_keys->rows, w.sequences);
  SR_ASSERT(!w.item_keys || w.item_keys->rows == items, "{} item keys of {} items",
            w.item_keys->rows, items);
  SR_ASSERT(!w.item_titles || w.item_titles->rows == items, "{} item titles of {} items",
            w.item_titles->rows, items);
  w.check_rows(items);
  w.write(items);
  rename_and_sync(w.temporary, w.path);
  w.temporary_exists = false;
}

}  // namespace seqrank
