// Memory of one device. Every allocation carries a tag, so that an out-of-memory error can say what
// the memory went to. Freed blocks are kept by size class and reused: steady-state training steps
// reach the system allocator never (device_allocations() stands still).
// Does not order reuse between streams: a tensor lives until the work that reads it is done.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace seqrank {

enum class Tag { parameter, gradient, optimiser, activation, workspace, batch };
inline constexpr int kTags = 6;
const char* tag_name(Tag tag);

class Arena;

// A block of an arena; goes back to it on destruction.
class Storage {
 public:
  Storage(Arena& arena, void* data, std::size_t bytes, std::size_t capacity, Tag tag)
      : arena_(arena), data_(data), bytes_(bytes), capacity_(capacity), tag_(tag) {}
  ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;
  void* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }

 private:
  friend class Arena;
  Arena& arena_;
  void* data_;
  std::size_t bytes_;     // asked for
  std::size_t capacity_;  // of the block
  Tag tag_;
};

class Arena {
 public:
  // limit_bytes = 0: no limit but the machine's.
  explicit Arena(std::size_t limit_bytes = 0) : limit_(limit_bytes) {}
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // 64-byte aligned, contents undefined (a NaN pattern in sanitizer builds). Thread-safe.
  // Throws Error(device) with the table by tag when memory is short.
  std::shared_ptr<Storage> allocate(std::size_t bytes, Tag tag);

  std::int64_t device_allocations() const;  // calls that reached the system allocator
  std::size_t bytes(Tag tag) const;         // in use now
  std::size_t peak_bytes(Tag tag) const;
  std::string table() const;  // one line per tag: now, peak

 private:
  friend class Storage;
  void release(const Storage& storage);

  mutable std::mutex mutex_;
  std::size_t limit_;
  std::size_t reserved_ = 0;  // obtained from the system, used or kept
  std::int64_t device_allocations_ = 0;
  std::array<std::size_t, kTags> now_{};
  std::array<std::size_t, kTags> peak_{};
  std::map<std::size_t, std::vector<void*>> kept_;  // by capacity
};

}  // namespace seqrank
