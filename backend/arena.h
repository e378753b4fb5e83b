// Memory of one device. Every allocation carries a tag, so that an out-of-memory error can say what
// the memory went to. Freed blocks are kept by size class and reused: steady-state training steps
// reach the system allocator never (device_allocations() stands still).
// Does not order reuse between streams: a tensor lives until the work that reads it is done; of a
// GPU, until the work of other streams than the compute stream is (backend/keeper.h).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "backend/memory.h"

namespace seqrank {

enum class Tag { parameter, gradient, optimiser, activation, workspace, batch };
inline constexpr int kTags = 6;
const char* tag_name(Tag tag);
using BytesByTag = std::array<std::int64_t, kTags>;

struct ArenaPool;

// A block of an arena; goes back to it on destruction. Keeps the arena's memory alive, so that a
// tensor still queued on a stream may outlive the Arena.
class Storage {
 public:
  Storage(std::shared_ptr<ArenaPool> pool, void* data, std::size_t bytes, std::size_t capacity,
          Tag tag);
  ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;
  void* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }
  const Memory* watched() const { return watched_; }  // null: nobody watches the host

 private:
  friend struct ArenaPool;
  std::shared_ptr<ArenaPool> pool_;
  void* data_;
  std::size_t bytes_;     // asked for
  std::size_t capacity_;  // of the block
  Tag tag_;
  const Memory* watched_;
};

class Arena {
 public:
  // limit_bytes = 0: no limit but the machine's.
  explicit Arena(std::size_t limit_bytes = 0) : Arena(make_host_memory(), limit_bytes) {}
  Arena(std::unique_ptr<Memory> memory, std::size_t limit_bytes);
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // 64-byte aligned, contents undefined (a NaN pattern in sanitizer builds). Thread-safe.
  // Throws Error(device) with the table by tag when memory is short.
  std::shared_ptr<Storage> allocate(std::size_t bytes, Tag tag);

  std::int64_t device_allocations() const;  // calls that reached the system allocator
  std::size_t bytes(Tag tag) const;         // in use now
  std::size_t peak_bytes(Tag tag) const;
  BytesByTag peak_bytes() const;  // of all tags
  std::string table() const;      // tags: now, peak

 private:
  std::shared_ptr<ArenaPool> pool_;
};

}  // namespace seqrank
