// Tells ThreadSanitizer what a vendor call reads and writes: it cannot see into libraries that were
// built without it. Costs and does nothing in any other build.
#pragma once

#include <cstddef>

#ifdef __SANITIZE_THREAD__
extern "C" void __tsan_read_range(void* address, unsigned long bytes);
extern "C" void __tsan_write_range(void* address, unsigned long bytes);
#endif

namespace seqrank::cpu {

inline void announce_read([[maybe_unused]] const void* data, [[maybe_unused]] std::size_t bytes) {
#ifdef __SANITIZE_THREAD__
  __tsan_read_range(const_cast<void*>(data), bytes);
#endif
}

inline void announce_write([[maybe_unused]] void* data, [[maybe_unused]] std::size_t bytes) {
#ifdef __SANITIZE_THREAD__
  __tsan_write_range(data, bytes);
#endif
}

}  // namespace seqrank::cpu
