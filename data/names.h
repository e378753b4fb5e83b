// What people call the items and sequences of a data set: keys and titles; where the file has none,
// their numbers as text. Holds no file: each call is given the one that the columns are of.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "data/column.h"

namespace seqrank {

class Names {
 public:
  Names() = default;
  // Numbers alone.
  Names(std::int64_t items, std::int64_t sequences) : items_(items), sequences_(sequences) {}
  // Throws Error(data) for a column of another number of rows.
  Names(const File& file, const hdf5::FileId& hdf5_file, std::int64_t items,
        std::int64_t sequences);

  bool has_item_keys() const { return item_keys_.has_value(); }
  std::string item_key(const File& file, std::int64_t item) const;
  std::string item_title(const File& file, std::int64_t item) const;  // the key where it has none
  std::string user_key(const File& file, std::int64_t sequence) const;
  std::optional<std::int64_t> find_item(const File& file, const std::string& key) const;

  // Of all in order, without a call of the system for each.
  using Use = std::function<void(std::string_view)>;
  void for_each_item_key(const File& file, const Use& use) const;
  void for_each_item_title(const File& file, const Use& use) const;
  void for_each_user_key(const File& file, const Use& use) const;  // a sequence each
  // Of all keys; "none" without.
  std::string item_fingerprint(const File& file) const;

 private:
  std::int64_t items_ = 0, sequences_ = 0;
  std::optional<TextColumn> item_keys_, item_titles_, user_keys_;
};

}  // namespace seqrank
