// Writes a data set of schema version 1, column by column in bounded memory, under a temporary name
// that becomes the final one in finish(). Destroyed before finish(), it leaves nothing behind.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace seqrank {

class DatasetWriter {
 public:
  // Throws Error(data) where the folder cannot be written.
  explicit DatasetWriter(const std::string& path);
  ~DatasetWriter();

  // Appends one sequence; times empty: the file has no times (all sequences alike).
  void add_sequence(std::span<const std::int32_t> items, std::span<const std::int64_t> times);
  // Further columns by their place in the file (data/README.md): /event/..., of as many rows as
  // there are events, /sequence/... and /user/... of sequences, /item/... of items; each in any
  // number of calls, in order. Texts likewise: names of values, of any number.
  void append(const std::string& place, std::span<const std::uint8_t> values);
  void append(const std::string& place, std::span<const std::int32_t> values);
  void append(const std::string& place, std::span<const float> values);
  void append_text(const std::string& place, const std::string& text);
  // Text columns, in rising id, each in one run of calls; all optional.
  void add_user_key(const std::string& key);
  void add_item_key(std::string_view key);
  void add_item_title(std::string_view title);
  void set_attribute(const std::string& name, double value);
  void set_attribute(const std::string& name, const std::string& value);

  // Writes counts and fingerprint, syncs, renames. items: V. Throws Error(data), a full disk too.
  void finish(std::int64_t items);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace seqrank
