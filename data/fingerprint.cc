// xxhash behind a few calls; the only user of its header in data's data-set half.
#include "data/fingerprint.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <bit>
#include <map>
#include <vector>

#include "backend/check.h"

namespace seqrank {

static_assert(std::endian::native == std::endian::little, "columns are read and hashed as stored");

namespace {

class Sum {
 public:
  Sum() : state_(XXH3_createState()) {
    SR_ASSERT(state_, "no memory for a hash state");
    XXH3_64bits_reset(state_.get());
  }
  void add(const void* data, std::size_t bytes) { XXH3_64bits_update(state_.get(), data, bytes); }
  XXH64_hash_t value() const { return XXH3_64bits_digest(state_.get()); }

 private:
  struct Free {
    void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
  };
  std::unique_ptr<XXH3_state_t, Free> state_;
};

}  // namespace

struct Fingerprint::Impl {
  Sum offsets, items;
  std::map<std::string, Sum> columns;
};

Fingerprint::Fingerprint() : impl_(std::make_unique<Impl>()) {}
Fingerprint::~Fingerprint() = default;
Fingerprint::Fingerprint(Fingerprint&&) noexcept = default;
Fingerprint& Fingerprint::operator=(Fingerprint&&) noexcept = default;

void Fingerprint::add_offsets(std::span<const std::int64_t> offsets) {
  impl_->offsets.add(offsets.data(), offsets.size_bytes());
}

void Fingerprint::add_items(std::span<const std::int32_t> items) {
  impl_->items.add(items.data(), items.size_bytes());
}

void Fingerprint::add_column(const std::string& name, std::span<const std::byte> values) {
  impl_->columns[name].add(values.data(), values.size_bytes());
}

std::string Fingerprint::hex() const {
  std::vector<XXH64_hash_t> sums = {impl_->offsets.value(), impl_->items.value()};
  for (const auto& [name, sum] : impl_->columns) {
    sums.push_back(XXH3_64bits(name.data(), name.size()));
    sums.push_back(sum.value());
  }
  return fmt::format("{:016x}", XXH3_64bits(sums.data(), sums.size() * sizeof sums[0]));
}

struct TextFingerprint::Impl {
  Sum sum;
};

TextFingerprint::TextFingerprint() : impl_(std::make_unique<Impl>()) {}
TextFingerprint::~TextFingerprint() = default;

void TextFingerprint::add(std::string_view text) {
  const std::string part = fmt::format("{}:{}", text.size(), text);
  impl_->sum.add(part.data(), part.size());
}

std::string TextFingerprint::hex() const {
  return fmt::format("{:016x}", impl_->sum.value());
}

}  // namespace seqrank
