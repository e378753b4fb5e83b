// XXH3 sums, 64 bits, of buffers and of ranges of files: what proves that a checkpoint is what was
// written. Not meant against an attacker.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "data/file.h"

namespace seqrank {

inline constexpr std::size_t kIoBlock = std::size_t{4} << 20;  // bytes a read or write

// Of bytes given in parts.
class Checksum {
 public:
  Checksum();
  ~Checksum();
  void add(const void* data, std::size_t bytes);
  std::uint64_t sum() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::uint64_t checksum(std::string_view bytes);
std::uint64_t checksum(const File& file, std::int64_t begin, std::int64_t end);  // of its bytes
std::string sum_text(std::uint64_t sum);                                         // 16 hex digits

}  // namespace seqrank
