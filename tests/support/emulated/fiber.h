// Stacks to run on, and the switch between them. TSan sees a switch only between fibers that are
// announced to it.
#pragma once

#include <cstddef>

namespace seqrank::simt {

struct Fiber {
  const void* stack = nullptr;  // its lowest address
  std::size_t stack_bytes = 0;
  void* stack_pointer = nullptr;  // while it does not run
  void* tsan = nullptr;           // none: not announced
  void* asan_stack = nullptr;
};

// Ready to start `main`, which never returns, at the first switch to it. Lives for ever.
Fiber* new_fiber(void (*main)(Fiber& from), bool announced);

// The first thing that a fiber's main calls: it was started from `from`.
void fiber_has_started(Fiber& from);

// Leaves `from`, which runs, for `to`; returns when somebody switches back.
void switch_fiber(Fiber& from, Fiber& to);

}  // namespace seqrank::simt
