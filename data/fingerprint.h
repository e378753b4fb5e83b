// What identifies the content of a data set: XXH3-64 over the XXH3-64 sums of the offsets (i64) and
// of the items (i32), both little-endian. Two sums, so that both columns can be streamed at once.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace seqrank {

// XXH3-64 of a text, as 16 digits.
std::string text_fingerprint(std::string_view text);

class Fingerprint {
 public:
  Fingerprint();
  ~Fingerprint();
  Fingerprint(Fingerprint&&) noexcept;
  Fingerprint& operator=(Fingerprint&&) noexcept;
  void add_offsets(std::span<const std::int64_t> offsets);
  void add_items(std::span<const std::int32_t> items);
  std::string hex() const;  // 16 digits

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace seqrank
