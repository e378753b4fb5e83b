// Calls xxhash; see checksum.h.
#include "trainer/checksum.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <vector>

namespace seqrank {

struct Checksum::State {
  XXH3_state_t* hash = XXH3_createState();
  ~State() { XXH3_freeState(hash); }
};

Checksum::Checksum() : state_(std::make_unique<State>()) {
  XXH3_64bits_reset(state_->hash);
}
Checksum::~Checksum() = default;

void Checksum::add(const void* data, std::size_t bytes) {
  XXH3_64bits_update(state_->hash, data, bytes);
}
std::uint64_t Checksum::sum() const {
  return XXH3_64bits_digest(state_->hash);
}

std::uint64_t checksum(std::string_view bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

std::uint64_t checksum(const File& file, std::int64_t begin, std::int64_t end) {
  Checksum sum;
  std::vector<char> block(std::min<std::size_t>(kIoBlock, static_cast<std::size_t>(end - begin)));
  for (std::int64_t at = begin; at < end;) {
    const std::size_t bytes = std::min<std::size_t>(kIoBlock, static_cast<std::size_t>(end - at));
    file.read_at(at, block.data(), bytes);
    sum.add(block.data(), bytes);
    at += static_cast<std::int64_t>(bytes);
  }
  return sum.sum();
}

std::string sum_text(std::uint64_t sum) {
  return fmt::format("{:016x}", sum);
}

}  // namespace seqrank
