// Fibers (fiber.h), for x86-64.
#include "tests/support/emulated/fiber.h"

#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>

#include "tests/support/emulated/sanitizers.h"

// Saves the callee-saved registers and the stack pointer, and goes on at another stack, where
// `from` is the result, or the argument of the function that starts there.
extern "C" seqrank::simt::Fiber* seqrank_switch_stack(void** save, void* to,
                                                      seqrank::simt::Fiber* from);
#if defined(__x86_64__)
asm(R"(.text
.type seqrank_switch_stack,@function
seqrank_switch_stack:
  push %rbp
  push %rbx
  push %r12
  push %r13
  push %r14
  push %r15
  mov %rsp,(%rdi)
  mov %rsi,%rsp
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbx
  pop %rbp
  mov %rdx,%rax
  mov %rdx,%rdi
  ret
.size seqrank_switch_stack,.-seqrank_switch_stack
)");
constexpr int kSavedRegisters = 6;
#else
#error "write seqrank_switch_stack for this processor, or use ucontext"
#endif

namespace seqrank::simt {

namespace {

constexpr std::size_t kStack = (EMU_TSAN || EMU_ASAN ? 256 : 64) << 10;  // instrumented frames grow
constexpr std::size_t kGuard = 4 << 10;

void leave([[maybe_unused]] Fiber& from, [[maybe_unused]] const Fiber& to) {
#if EMU_TSAN
  if (to.tsan != nullptr) __tsan_switch_to_fiber(to.tsan, __tsan_switch_to_fiber_no_sync);
#endif
#if EMU_ASAN
  __sanitizer_start_switch_fiber(&from.asan_stack, to.stack, to.stack_bytes);
#endif
}

// ASan tells the bounds of the stack that was left, which for an OS thread's own are not known.
void arrive([[maybe_unused]] void* asan_stack, [[maybe_unused]] Fiber& from) {
#if EMU_ASAN
  __sanitizer_finish_switch_fiber(asan_stack, &from.stack, &from.stack_bytes);
#endif
}

}  // namespace

Fiber* new_fiber(void (*main)(Fiber& from), [[maybe_unused]] bool announced) {
  auto* f = new Fiber;
  void* p = mmap(nullptr, kStack + kGuard, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED || mprotect(p, kGuard, PROT_NONE) != 0) {
    std::perror("simt: no memory for a fiber's stack");
    std::abort();
  }
  char* stack = static_cast<char*>(p) + kGuard;
  f->stack = stack;
  f->stack_bytes = kStack;
  auto** top = reinterpret_cast<void**>(stack + kStack);
  *--top = nullptr;  // main never returns; keeps the stack aligned as after a call
  *--top = reinterpret_cast<void*>(main);
  for (int i = 0; i < kSavedRegisters; ++i) *--top = nullptr;
  f->stack_pointer = top;
#if EMU_TSAN
  if (announced) f->tsan = __tsan_create_fiber(0);
#endif
  return f;
}

void fiber_has_started(Fiber& from) {
  arrive(nullptr, from);
}

void switch_fiber(Fiber& from, Fiber& to) {
  leave(from, to);
  Fiber* came_from = seqrank_switch_stack(&from.stack_pointer, to.stack_pointer, &from);
  arrive(from.asan_stack, *came_from);
}

}  // namespace seqrank::simt
