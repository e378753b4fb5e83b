// The caching allocator behind Tensor. Sanitizer builds pass every block through to the system
// allocator, so that overruns and use after free are seen, and fill it with NaN.
#include "backend/arena.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <vector>

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

class HostMemory final : public Memory {
 public:
  void* obtain(std::size_t bytes) override {
    void* block = std::aligned_alloc(kAlignment, bytes);
    if (kPassThrough && block != nullptr) std::memset(block, 0xFF, bytes);
    return block;
  }
  void give_back(void* block) override { std::free(block); }
};

class PlannedMemory final : public Memory {
 public:
  void* obtain(std::size_t bytes) override {
    void* block = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (block == MAP_FAILED) return nullptr;
    std::lock_guard lock(mutex_);
    bytes_[block] = bytes;
    return block;
  }
  void give_back(void* block) override {
    std::lock_guard lock(mutex_);
    const auto entry = bytes_.find(block);
    munmap(block, entry->second);
    bytes_.erase(entry);
  }

 private:
  std::mutex mutex_;
  std::map<void*, std::size_t> bytes_;
};

}  // namespace

std::unique_ptr<Memory> make_host_memory() {
  return std::make_unique<HostMemory>();
}
std::unique_ptr<Memory> make_planned_memory() {
  return std::make_unique<PlannedMemory>();
}

// The blocks and the counts; shared by the arena and all its storages.
struct ArenaPool {
  ArenaPool(std::unique_ptr<Memory> from, std::size_t limit_bytes)
      : memory(std::move(from)), limit(limit_bytes) {}
  ~ArenaPool() { give_back_kept(); }
  void* take(std::size_t capacity, Tag tag);  // null: no memory
  void* from_system(std::size_t capacity);    // null: no memory
  void give_back_kept();
  void release(const Storage& storage);
  std::string table() const;

  const std::unique_ptr<Memory> memory;
  mutable std::mutex mutex;
  std::size_t limit;
  std::size_t reserved = 0;  // obtained from the system, used or kept
  std::int64_t device_allocations = 0;
  std::array<std::size_t, kTags> now{};
  std::array<std::size_t, kTags> peak{};
  std::map<std::size_t, std::vector<void*>> kept;  // by capacity
};

void* ArenaPool::take(std::size_t capacity, Tag tag) {
  std::lock_guard lock(mutex);
  void* block = nullptr;
  auto same_size = kept.find(capacity);
  if (same_size != kept.end() && !same_size->second.empty()) {
    block = same_size->second.back();
    same_size->second.pop_back();
  } else {
    block = from_system(capacity);
    if (block == nullptr) {  // blocks of other sizes, kept for reuse, may be what is missing
      give_back_kept();
      block = from_system(capacity);
    }
    if (block == nullptr) return nullptr;
  }
  const int t = static_cast<int>(tag);
  now[t] += capacity;
  peak[t] = std::max(peak[t], now[t]);
  return block;
}

void* ArenaPool::from_system(std::size_t capacity) {
  if (limit != 0 && reserved + capacity > limit) return nullptr;
  void* block = memory->obtain(capacity);
  if (block == nullptr) return nullptr;
  reserved += capacity;
  ++device_allocations;
  return block;
}

void ArenaPool::give_back_kept() {
  for (auto& [capacity, blocks] : kept) {
    for (void* block : blocks) memory->give_back(block);
    reserved -= capacity * blocks.size();
    blocks.clear();
  }
}

void ArenaPool::release(const Storage& storage) {
  std::lock_guard lock(mutex);
  now[static_cast<int>(storage.tag_)] -= storage.capacity_;
  if (kPassThrough) {
    memory->give_back(storage.data_);
    reserved -= storage.capacity_;
  } else {
    kept[storage.capacity_].push_back(storage.data_);
  }
}

std::string ArenaPool::table() const {
  std::lock_guard lock(mutex);
  std::string text;
  for (int t = 0; t < kTags; ++t) {
    text += fmt::format("{}{} {:.1f} MiB (peak {:.1f})", t ? ", " : "", tag_name(Tag(t)),
                        now[t] / 1048576.0, peak[t] / 1048576.0);
  }
  return text;
}

const char* tag_name(Tag tag) {
  static constexpr const char* kNames[kTags] = {"parameter",  "gradient",  "optimiser",
                                                "activation", "workspace", "batch"};
  return kNames[static_cast<int>(tag)];
}

Storage::Storage(std::shared_ptr<ArenaPool> pool, void* data, std::size_t bytes,
                 std::size_t capacity, Tag tag)
    : pool_(std::move(pool)),
      data_(data),
      bytes_(bytes),
      capacity_(capacity),
      tag_(tag),
      watched_(pool_->memory->is_watched() ? pool_->memory.get() : nullptr) {}

Storage::~Storage() {
  pool_->release(*this);
}

Arena::Arena(std::unique_ptr<Memory> memory, std::size_t limit_bytes)
    : pool_(std::make_shared<ArenaPool>(std::move(memory), limit_bytes)) {}

std::shared_ptr<Storage> Arena::allocate(std::size_t bytes, Tag tag) {
  const std::size_t capacity = capacity_for(bytes == 0 ? 1 : bytes);
  void* block = pool_->take(capacity, tag);
  SR_CHECK(block != nullptr, ErrorKind::device,
           "out of memory: {} bytes wanted for {}; in use {}; lower --train.batch, "
           "--data.max_length or --model.width, or use more ranks",
           bytes, tag_name(tag), table());
  return std::make_shared<Storage>(pool_, block, bytes, capacity, tag);
}

std::int64_t Arena::device_allocations() const {
  std::lock_guard lock(pool_->mutex);
  return pool_->device_allocations;
}

std::size_t Arena::bytes(Tag tag) const {
  std::lock_guard lock(pool_->mutex);
  return pool_->now[static_cast<int>(tag)];
}

std::size_t Arena::peak_bytes(Tag tag) const {
  std::lock_guard lock(pool_->mutex);
  return pool_->peak[static_cast<int>(tag)];
}

BytesByTag Arena::peak_bytes() const {
  BytesByTag bytes{};
  for (int tag = 0; tag < kTags; ++tag)
    bytes[tag] = static_cast<std::int64_t>(peak_bytes(static_cast<Tag>(tag)));
  return bytes;
}

std::string Arena::table() const {
  return pool_->table();
}

}  // namespace seqrank
