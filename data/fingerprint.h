// What identifies the content of a data set: XXH3-64 over the XXH3-64 sums of the offsets (i64) and
// of the items (i32), both little-endian; where there are further columns, for each of them in the
// order of their names the sums of its name and of its values too. A sum each, so that columns can
// be streamed at once. Times and texts have no part in it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace seqrank {

// XXH3-64 of a list of texts.
class TextFingerprint {
 public:
  TextFingerprint();
  ~TextFingerprint();
  void add(std::string_view text);  // with its length: no two lists of texts give one
  std::string hex() const;          // 16 digits

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

class Fingerprint {
 public:
  Fingerprint();
  ~Fingerprint();
  Fingerprint(Fingerprint&&) noexcept;
  Fingerprint& operator=(Fingerprint&&) noexcept;
  void add_offsets(std::span<const std::int64_t> offsets);
  void add_items(std::span<const std::int32_t> items);
  // Values of the column of this name in the file, as i32, f32 or u8.
  void add_column(const std::string& name, std::span<const std::byte> values);
  std::string hex() const;  // 16 digits

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace seqrank
