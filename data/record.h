// Records as byte strings whose memcmp order is the order wanted: numbers big-endian, keys by
// length and then by bytes (so that plain numbers come in numeric order). What external_sort sorts.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace seqrank {

inline constexpr std::size_t kMaxKeyBytes = 1000;
inline constexpr std::size_t kMaxTitleBytes = 1000;

inline void put_number(std::string& record, std::uint64_t value, int bytes) {
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8)
    record.push_back(static_cast<char>(value >> shift));
}

inline std::uint64_t take_number(std::string_view& record, int bytes) {
  std::uint64_t value = 0;
  for (int i = 0; i < bytes; ++i) value = value << 8 | static_cast<unsigned char>(record[i]);
  record.remove_prefix(static_cast<std::size_t>(bytes));
  return value;
}

inline void put_key(std::string& record, std::string_view key) {
  put_number(record, key.size(), 2);
  record.append(key);
}

// The key as put, with its length, for comparing; key_text() is the text alone.
inline std::string_view take_key(std::string_view& record) {
  std::string_view rest = record;
  const std::size_t size = 2 + take_number(rest, 2);
  const std::string_view key = record.substr(0, size);
  record.remove_prefix(size);
  return key;
}

inline std::string_view key_text(std::string_view key) {
  return key.substr(2);
}

// Seconds, negative ones before positive ones.
inline void put_time(std::string& record, std::int64_t time) {
  put_number(record, static_cast<std::uint64_t>(time) ^ (std::uint64_t{1} << 63), 8);
}

inline std::int64_t take_time(std::string_view& record) {
  return static_cast<std::int64_t>(take_number(record, 8) ^ (std::uint64_t{1} << 63));
}

}  // namespace seqrank
