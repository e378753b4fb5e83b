// Where an Arena's blocks come from: the system's memory, pinned memory, a GPU's.
#pragma once

#include <cstddef>
#include <memory>

namespace seqrank {

class Memory {
 public:
  virtual ~Memory() = default;
  virtual void* obtain(std::size_t bytes) = 0;  // null: there is none; 64-byte aligned
  virtual void give_back(void* block) = 0;
  // Whether the host's reads and writes are to be announced: pinned memory of the emulated device
  // of the tests, which checks that they are ordered after the copies.
  virtual bool is_watched() const { return false; }
  virtual void host_touches(const void*, std::size_t, bool /*writes*/) const {}
};

std::unique_ptr<Memory> make_host_memory();
// Addresses without memory behind them, until somebody writes there: for counting what would be
// asked for (Context's `Planned`). Zeros when read.
std::unique_ptr<Memory> make_planned_memory();

}  // namespace seqrank
