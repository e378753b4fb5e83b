// Sizes are whole numbers with one suffix letter or none; no "MB", no fractions: one way to write
// it.
#include "launch/memory_size.h"

#include <charconv>
#include <limits>
#include <nlohmann/json.hpp>

#include "backend/check.h"

namespace seqrank {

std::int64_t parse_memory_size(const std::string& key, const std::string& text) {
  std::int64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, value);
  const std::string suffix(stopped, end);
  int shift = -1;
  if (suffix.empty()) shift = 0;
  if (suffix == "K" || suffix == "k") shift = 10;
  if (suffix == "M" || suffix == "m") shift = 20;
  if (suffix == "G" || suffix == "g") shift = 30;
  if (suffix == "T" || suffix == "t") shift = 40;
  const bool fits = error == std::errc() && shift >= 0 && value > 0 &&
                    value <= (std::numeric_limits<std::int64_t>::max() >> shift);
  SR_CHECK(fits, ErrorKind::usage,
           "{} = '{}': it must be a size of memory such as 256M or 4G (K, M, G, T or bytes)", key,
           text);
  return value << shift;
}

std::string memory_words(std::int64_t bytes) {
  const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  int unit = 0;
  while (value >= 1024 && unit < 4) {
    value /= 1024;
    ++unit;
  }
  return value < 10 && unit > 0 ? fmt::format("{:.1f} {}", value, units[unit])
                                : fmt::format("{:.0f} {}", value, units[unit]);
}

nlohmann::ordered_json json_of(const BytesByTag& bytes) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for (int tag = 0; tag < kTags; ++tag) json[tag_name(static_cast<Tag>(tag))] = bytes[tag];
  return json;
}

}  // namespace seqrank
