// xxhash behind a few calls; the only user of its header in data's data-set half.
#include "data/fingerprint.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <array>
#include <bit>

#include "backend/check.h"

namespace seqrank {

static_assert(std::endian::native == std::endian::little, "columns are read and hashed as stored");

struct Fingerprint::Impl {
  XXH3_state_t* offsets = XXH3_createState();
  XXH3_state_t* items = XXH3_createState();
  Impl() {
    SR_ASSERT(offsets != nullptr && items != nullptr, "no memory for two hash states");
    XXH3_64bits_reset(offsets);
    XXH3_64bits_reset(items);
  }
  ~Impl() {
    XXH3_freeState(offsets);
    XXH3_freeState(items);
  }
};

Fingerprint::Fingerprint() : impl_(std::make_unique<Impl>()) {}
Fingerprint::~Fingerprint() = default;
Fingerprint::Fingerprint(Fingerprint&&) noexcept = default;
Fingerprint& Fingerprint::operator=(Fingerprint&&) noexcept = default;

void Fingerprint::add_offsets(std::span<const std::int64_t> offsets) {
  XXH3_64bits_update(impl_->offsets, offsets.data(), offsets.size_bytes());
}

void Fingerprint::add_items(std::span<const std::int32_t> items) {
  XXH3_64bits_update(impl_->items, items.data(), items.size_bytes());
}

std::string Fingerprint::hex() const {
  const std::array<XXH64_hash_t, 2> sums = {XXH3_64bits_digest(impl_->offsets),
                                            XXH3_64bits_digest(impl_->items)};
  return fmt::format("{:016x}", XXH3_64bits(sums.data(), sizeof sums));
}

std::string text_fingerprint(std::string_view text) {
  return fmt::format("{:016x}", XXH3_64bits(text.data(), text.size()));
}

}  // namespace seqrank
