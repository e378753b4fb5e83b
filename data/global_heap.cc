// Every size is checked against what is left before it is used, and every step goes forward.
#include "data/global_heap.h"

#include <cstring>

#include "backend/check.h"

namespace seqrank {
namespace {

constexpr std::size_t kHeader = 16;  // of a collection, and of an object

template <class T>
T number(const char* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

}  // namespace

void GlobalHeap::load(std::uint64_t address) {
  objects_.clear();
  address_ = ~std::uint64_t{0};
  const auto room = static_cast<std::uint64_t>(file_.size() - base_);
  SR_CHECK(address <= room && room - address >= kHeader, ErrorKind::data,
           "{}: {}: a string lies outside the file; it is damaged", file_.path(), name_);
  char header[kHeader];
  const auto at = base_ + static_cast<std::int64_t>(address);
  file_.read_at(at, header, kHeader);
  const auto size = number<std::uint64_t>(header + 8);
  SR_CHECK(std::memcmp(header, "GCOL\1", 5) == 0 && size >= kHeader && size <= room - address,
           ErrorKind::data, "{}: {}: the heap of its strings is damaged", file_.path(), name_);
  bytes_.resize(size);
  file_.read_at(at, bytes_.data(), size);
  for (std::size_t next = kHeader; size - next >= kHeader;) {
    const auto index = number<std::uint16_t>(bytes_.data() + next);
    const auto bytes = number<std::uint64_t>(bytes_.data() + next + 8);
    if (index == 0) break;  // free space, always last
    next += kHeader;
    SR_CHECK(bytes <= size - next, ErrorKind::data, "{}: {}: the heap of its strings is damaged",
             file_.path(), name_);
    objects_[index] = {next, bytes};
    const std::size_t padded = (bytes + 7) / 8 * 8;
    if (padded >= size - next) break;
    next += padded;
  }
  address_ = address;
}

std::string GlobalHeap::text(const char* reference) {
  const auto bytes = number<std::uint32_t>(reference);
  const auto address = number<std::uint64_t>(reference + 4);
  if (bytes == 0) return "";
  if (address != address_) load(address);
  const auto found = objects_.find(number<std::uint32_t>(reference + 12));
  SR_CHECK(found != objects_.end() && bytes <= found->second.bytes, ErrorKind::data,
           "{}: {}: a string is missing from its heap; the file is damaged", file_.path(), name_);
  left_ -= bytes;
  SR_CHECK(left_ >= 0, ErrorKind::data,
           "{}: {}: its strings are longer together than the file; it is damaged", file_.path(),
           name_);
  // Cut at a NUL, as a reader in C would.
  const char* begin = bytes_.data() + found->second.begin;
  return std::string(begin, strnlen(begin, bytes));
}

}  // namespace seqrank
