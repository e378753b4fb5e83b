// Strings of variable length, read from the file's global heap without the HDF5 library, which does
// not return from a heap damaged in certain ways (seen with 1.10.8). Format: HDF5 File Format
// Specification 3.0, III.E "Disk Format: Level 1E - Global Heap".
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "data/file.h"

namespace seqrank {

class GlobalHeap {
 public:
  // Bytes of a reference in a column: length u32, address u64, index u32.
  static constexpr std::int64_t kReferenceBytes = 16;

  // base: where the file's addresses start; name: of the column, for messages.
  GlobalHeap(const File& file, std::int64_t base, std::string name)
      : file_(file), base_(base), name_(std::move(name)), left_(file.size()) {}
  std::string text(const char* reference);

 private:
  struct Object {
    std::size_t begin = 0, bytes = 0;  // in bytes_
  };
  void load(std::uint64_t address);

  const File& file_;
  std::int64_t base_;
  std::string name_;
  std::int64_t left_;  // distinct strings cannot be longer together than the file
  // The collection read last; neighbouring rows mostly share it.
  std::uint64_t address_ = ~std::uint64_t{0};
  std::string bytes_;
  std::map<std::uint32_t, Object> objects_;
};

}  // namespace seqrank
