// Events grouped by user, on disk: what stands between sorting and writing. Written once, read
// front to back. Does not know the text of items: they are numbers in the order of their keys.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/temp_file.h"

namespace seqrank {

class UserEvents {
 public:
  enum class Times { kept, none };
  // words: further values of 4 bytes that each event has.
  UserEvents(TempFolder& folder, Times times, std::size_t words = 0)
      : keys_(folder), events_(folder), times_(times), words_(words) {}

  // items and times in the order of time; key as put_key wrote it, more may follow; times empty for
  // Times::none. words: of the first event, then of the second, ...
  void add(std::string_view key, std::span<const std::uint32_t> items,
           std::span<const std::int64_t> times, std::span<const std::uint32_t> words = {});
  void flush();  // after the last add, before the first reader
  std::int64_t users() const { return users_; }
  std::int64_t events() const { return total_; }
  Times times() const { return times_; }
  std::size_t words() const { return words_; }  // of an event

 private:
  friend class UserEventsReader;
  TempFile keys_, events_;
  Times times_;
  std::size_t words_;
  std::int64_t users_ = 0;
  std::int64_t total_ = 0;
};

class UserEventsReader {
 public:
  explicit UserEventsReader(const UserEvents& store);
  bool next();  // false at the end; the rest is of the user it moved to
  std::string_view key() const { return key_; }
  std::vector<std::uint32_t>& items() { return items_; }
  std::vector<std::int64_t>& times() { return times_; }
  std::vector<std::uint32_t>& words() { return words_; }

 private:
  const UserEvents& store_;
  TempReader keys_, events_;
  std::string_view key_;
  std::vector<std::uint32_t> items_;
  std::vector<std::int64_t> times_;
  std::vector<std::uint32_t> words_;
};

}  // namespace seqrank
