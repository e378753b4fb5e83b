// Columns where there are some, numbers where not.
#include "data/names.h"

#include <fmt/format.h>

#include <charconv>

#include "backend/check.h"
#include "data/fingerprint.h"

namespace seqrank {
namespace {

std::optional<TextColumn> open_text(const File& file, const hdf5::FileId& hdf5_file,
                                    const std::string& name, std::int64_t rows) {
  if (!has_column(file, hdf5_file, name)) return std::nullopt;
  TextColumn column(file, hdf5_file, name);
  SR_CHECK(column.rows() == rows, ErrorKind::data, "{}: {}: has {} rows, there are {} {}",
           file.path(), name, column.rows(), rows,
           name.starts_with("/user") ? "sequences" : "items");
  return column;
}

std::optional<std::int64_t> parse_number(const std::string& text, std::int64_t count) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < 0 || number >= count)
    return std::nullopt;
  return number;
}

}  // namespace

Names::Names(const File& file, const hdf5::FileId& hdf5_file, std::int64_t items,
             std::int64_t sequences)
    : items_(items),
      sequences_(sequences),
      item_keys_(open_text(file, hdf5_file, "/item/key", items)),
      item_titles_(open_text(file, hdf5_file, "/item/title", items)),
      user_keys_(open_text(file, hdf5_file, "/user/key", sequences)) {}

std::string Names::item_key(const File& file, std::int64_t item) const {
  return item_keys_ ? item_keys_->at(file, item) : fmt::to_string(item);
}
std::string Names::item_title(const File& file, std::int64_t item) const {
  return item_titles_ ? item_titles_->at(file, item) : item_key(file, item);
}
std::string Names::user_key(const File& file, std::int64_t sequence) const {
  return user_keys_ ? user_keys_->at(file, sequence) : fmt::to_string(sequence);
}
std::optional<std::int64_t> Names::find_item(const File& file, const std::string& key) const {
  return item_keys_ ? item_keys_->find(file, key) : parse_number(key, items_);
}

void Names::for_each_item_key(const File& file, const Use& use) const {
  if (item_keys_) return item_keys_->for_each(file, use);
  for (std::int64_t item = 0; item < items_; ++item) use(fmt::to_string(item));
}
void Names::for_each_item_title(const File& file, const Use& use) const {
  if (item_titles_) return item_titles_->for_each(file, use);
  for_each_item_key(file, use);
}
void Names::for_each_user_key(const File& file, const Use& use) const {
  if (user_keys_) return user_keys_->for_each(file, use);
  for (std::int64_t sequence = 0; sequence < sequences_; ++sequence) use(fmt::to_string(sequence));
}

std::string Names::item_fingerprint(const File& file) const {
  if (!item_keys_) return "none";
  TextFingerprint fingerprint;
  for_each_item_key(file, [&](std::string_view key) { fingerprint.add(key); });
  return fingerprint.hex();
}

}  // namespace seqrank
