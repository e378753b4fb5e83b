// Thin names for what TSan and ASan offer to fibers and to runtimes; empty where they are off.
//
// TSan must see the order that CUDA promises and no more. The runtime's own mutexes and counters
// would add order that a GPU does not have, and so hide missing waits. Hence every piece of runtime
// machinery runs inside Untraced, and the promised order is stated by release() and acquire().
#pragma once

#include <cstddef>

#ifndef EMU_TSAN
#define EMU_TSAN 0  // set for all files of a build that links TSan, instrumented or not
#endif
#ifndef EMU_ASAN
#define EMU_ASAN 0
#endif

#if EMU_TSAN
#include <sanitizer/tsan_interface.h>
extern "C" {
void AnnotateIgnoreSyncBegin(const char* file, int line);
void AnnotateIgnoreSyncEnd(const char* file, int line);
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);
void __tsan_read_range(void* address, unsigned long size);
void __tsan_write_range(void* address, unsigned long size);
}
#endif
#if EMU_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace seqrank::sanitizers {

#if EMU_TSAN
inline void release(void* p) {
  __tsan_release(p);
}
inline void acquire(void* p) {
  __tsan_acquire(p);
}
inline void has_read(const void* p, std::size_t bytes) {
  __tsan_read_range(const_cast<void*>(p), bytes);
}
inline void has_written(const void* p, std::size_t bytes) {
  __tsan_write_range(const_cast<void*>(p), bytes);
}
inline void ignore_begin() {
  AnnotateIgnoreSyncBegin("", 0);
  AnnotateIgnoreReadsBegin("", 0);
  AnnotateIgnoreWritesBegin("", 0);
}
inline void ignore_end() {
  AnnotateIgnoreWritesEnd("", 0);
  AnnotateIgnoreReadsEnd("", 0);
  AnnotateIgnoreSyncEnd("", 0);
}
#else
inline void release(void*) {}
inline void acquire(void*) {}
inline void has_read(const void*, std::size_t) {}
inline void has_written(const void*, std::size_t) {}
inline void ignore_begin() {}
inline void ignore_end() {}
#endif

struct Untraced {
  Untraced() { ignore_begin(); }
  ~Untraced() { ignore_end(); }
  Untraced(const Untraced&) = delete;
};

// Lifts the innermost Untraced: inside one, even release() and acquire() do nothing.
struct Traced {
  Traced() { ignore_end(); }
  ~Traced() { ignore_begin(); }
  Traced(const Traced&) = delete;
};

#if EMU_ASAN
inline void forbid(const void* p, std::size_t bytes) {
  __asan_poison_memory_region(p, bytes);
}
inline void allow(const void* p, std::size_t bytes) {
  __asan_unpoison_memory_region(p, bytes);
}
#else
inline void forbid(const void*, std::size_t) {}
inline void allow(const void*, std::size_t) {}
#endif

}  // namespace seqrank::sanitizers
