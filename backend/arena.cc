// The caching allocator behind Tensor. Sanitizer builds pass every block through to the system
// allocator, so that overruns and use after free are seen, and fill it with NaN.
#include "backend/arena.h"

#include <fmt/format.h>

#include <cstdlib>
#include <cstring>

#include "backend/check.h"

namespace seqrank {
namespace {

constexpr bool kPassThrough = SEQRANK_ARENA_PASS_THROUGH;
constexpr std::size_t kAlignment = 64;

// Four classes per power of two: at most a fifth of a block is wasted, and sizes that change from
// batch to batch soon meet a kept block.
std::size_t capacity_for(std::size_t bytes) {
  std::size_t step = kAlignment;
  while (step * 8 <= bytes) step *= 2;
  return (bytes + step - 1) / step * step;
}

}  // namespace

const char* tag_name(Tag tag) {
  static constexpr const char* kNames[kTags] = {"parameter",  "gradient",  "optimiser",
                                                "activation", "workspace", "batch"};
  return kNames[static_cast<int>(tag)];
}

Storage::~Storage() {
  arena_.release(*this);
}

Arena::~Arena() {
  for (auto& [capacity, blocks] : kept_)
    for (void* block : blocks) std::free(block);
}

std::shared_ptr<Storage> Arena::allocate(std::size_t bytes, Tag tag) {
  const std::size_t capacity = capacity_for(bytes == 0 ? 1 : bytes);
  void* block = nullptr;
  {
    std::lock_guard lock(mutex_);
    auto kept = kept_.find(capacity);
    if (kept != kept_.end() && !kept->second.empty()) {
      block = kept->second.back();
      kept->second.pop_back();
    } else if (limit_ == 0 || reserved_ + capacity <= limit_) {
      block = std::aligned_alloc(kAlignment, capacity);
      if (block != nullptr) {
        reserved_ += capacity;
        ++device_allocations_;
      }
    }
    if (block != nullptr) {
      const int t = static_cast<int>(tag);
      now_[t] += capacity;
      peak_[t] = std::max(peak_[t], now_[t]);
    }
  }
  SR_CHECK(block != nullptr, ErrorKind::device,
           "out of memory: {} bytes wanted for {}; in use {}; lower --train.batch, "
           "--data.max_length or --model.width, or use more ranks",
           bytes, tag_name(tag), table());
  if (kPassThrough) std::memset(block, 0xFF, capacity);
  return std::make_shared<Storage>(*this, block, bytes, capacity, tag);
}

void Arena::release(const Storage& storage) {
  std::lock_guard lock(mutex_);
  now_[static_cast<int>(storage.tag_)] -= storage.capacity_;
  if (kPassThrough) {
    std::free(storage.data_);
    reserved_ -= storage.capacity_;
  } else {
    kept_[storage.capacity_].push_back(storage.data_);
  }
}

std::int64_t Arena::device_allocations() const {
  std::lock_guard lock(mutex_);
  return device_allocations_;
}

std::size_t Arena::bytes(Tag tag) const {
  std::lock_guard lock(mutex_);
  return now_[static_cast<int>(tag)];
}

std::size_t Arena::peak_bytes(Tag tag) const {
  std::lock_guard lock(mutex_);
  return peak_[static_cast<int>(tag)];
}

std::string Arena::table() const {
  std::lock_guard lock(mutex_);
  std::string text;
  for (int t = 0; t < kTags; ++t) {
    text += fmt::format("{}{} {:.1f} MiB (peak {:.1f})", t ? ", " : "", tag_name(Tag(t)),
                        now_[t] / 1048576.0, peak_[t] / 1048576.0);
  }
  return text;
}

}  // namespace seqrank
