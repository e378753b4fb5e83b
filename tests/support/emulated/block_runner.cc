// The turns of the threads of a block (block_runner.h). Under TSan this file is compiled without
// instrumentation: its own bookkeeping is shared by all fibers of a block by design, and only the
// order that CUDA promises is announced (sanitizers.h).
#include "tests/support/emulated/block_runner.h"

#include <algorithm>
#include <mutex>

#include "tests/support/emulated/sanitizers.h"
#include "tests/support/emulated/simt_report.h"

namespace seqrank::simt {

namespace {

// Runners outlive their OS threads: their fibers are costly, under TSan above all. Made untraced,
// since the runner's memory is seen by fibers that TSan takes for threads.
class RunnerLoan {
 public:
  RunnerLoan() {
    const sanitizers::Untraced untraced;
    const std::lock_guard lock(mutex());
    if (spare().empty()) {
      runner_ = new BlockRunner;
    } else {
      runner_ = spare().back();
      spare().pop_back();
    }
  }
  ~RunnerLoan() {
    const sanitizers::Untraced untraced;
    const std::lock_guard lock(mutex());
    spare().push_back(runner_);
  }
  BlockRunner& operator*() { return *runner_; }

 private:
  static std::mutex& mutex() {
    static auto* m = new std::mutex;
    return *m;
  }
  static std::vector<BlockRunner*>& spare() {
    static auto* s = new std::vector<BlockRunner*>;
    return *s;
  }
  BlockRunner* runner_;
};

[[noreturn]] void fiber_main(Fiber& from) {
  fiber_has_started(from);
  for (;;) runner().run_one_thread();
}

}  // namespace

static constinit thread_local BlockRunner* current_runner = nullptr;

// Not inlined: a fiber may go on on another OS thread after it has been idle, where thread-local
// addresses are others.
[[gnu::noinline]] BlockRunner& runner() {
  if (current_runner == nullptr) {
    static thread_local RunnerLoan loan;
    current_runner = &*loan;
  }
  return *current_runner;
}

// Where TSan sees fibers as threads, each CUDA thread of a block has its own, and successive blocks
// have different ones: else TSan would take blocks for ordered.
Fiber* BlockRunner::fiber_for(const Thread& t) {
  if (announced_) return announced_fibers_[2 * t.flat + odd_];
  if (idle_.empty()) return new_fiber(&fiber_main, false);
  Fiber* f = idle_.back();
  idle_.pop_back();
  return f;
}

Thread* BlockRunner::next_in_round() {
  while (round_ < round_end_) {
    Thread& t = threads_[order_[round_++]];
    if (!t.done) return &t;
  }
  return nullptr;
}

void BlockRunner::go_on(Fiber& from, Thread* next) {
  if (next == nullptr) return switch_fiber(from, scheduler_);
  if (next->fiber == nullptr) next->fiber = fiber_for(*next);
  thread = next;
  switch_fiber(from, *next->fiber);
}

void BlockRunner::yield() {
  Fiber& own = *thread->fiber;
  go_on(own, next_in_round());
}

// A thread that ends hands its stack to the next one if that has none, so a kernel without barriers
// needs one stack and no switches.
[[gnu::noinline]] void BlockRunner::run_one_thread() {
  if (announced_) sanitizers::acquire(&launch_->begun);
  (*launch_->body)();
  if (announced_) sanitizers::release(&launch_->ended);
  Thread& t = *thread;
  if (!t.copies.empty()) die("a thread ends before its cp.async copies have landed", t.place);
  t.done = true;
  t.warp->alive &= ~(1u << t.lane);
  --alive_;
  ++progress_;
  Fiber& own = *t.fiber;
  Thread* next = next_in_round();
  if (next != nullptr && next->fiber == nullptr && !announced_) {
    next->fiber = &own;
    thread = next;
    return;
  }
  if (!announced_) idle_.push_back(&own);
  go_on(own, next);
}

void BlockRunner::run_round(std::size_t begin, std::size_t end) {
  round_ = begin;
  round_end_ = end;
  if (Thread* first = next_in_round()) go_on(scheduler_, first);
}

void BlockRunner::run_warp_until_stuck(std::size_t warp) {
  std::uint64_t before;
  do {
    before = progress_;
    run_round(warp * 32, std::min(threads_.size(), warp * 32 + 32));
  } while (progress_ != before);
}

void BlockRunner::run_all_threads() {
  const emu::Schedule schedule = emu::options().schedule;
  while (alive_ > 0) {
    const std::uint64_t before = progress_;
    if (schedule == emu::Schedule::greedy) {
      const std::size_t first = random_();
      for (std::size_t w = 0; w < warps_.size(); ++w) {
        run_warp_until_stuck((first + w) % warps_.size());
      }
    } else {
      if (schedule == emu::Schedule::random) std::shuffle(order_.begin(), order_.end(), random_);
      run_round(0, threads_.size());
    }
    if (progress_ == before) report_deadlock(block_, threads_);
  }
  thread = nullptr;
}

void BlockRunner::set_up(Launch& launch, std::size_t index) {
  const dim3& g = launch.shape.grid;
  launch_ = &launch;
  announced_ = launch.threads_announced;
  block_.index = {unsigned(index % g.x), unsigned(index / g.x % g.y), unsigned(index / g.x / g.y)};
  block_.dim = launch.shape.block;
  block_.grid_dim = g;
  block = &block_;
  arrived_ = 0;
  set_up_threads();
}

void BlockRunner::set_up_threads() {
  const dim3& b = block_.dim;
  const unsigned n = alive_ = b.x * b.y * b.z;
  threads_.assign(n, {});
  warps_.resize((n + 31) / 32);
  for (Warp& w : warps_) w.alive = w.masks = 0;
  order_.resize(n);
  const bool reverse = emu::options().schedule == emu::Schedule::reverse;
  for (unsigned i = 0; i < n; ++i) {
    Thread& t = threads_[i];
    t.index = {i % b.x, i / b.x % b.y, i / b.x / b.y};
    t.flat = i;
    t.lane = i % 32;
    t.warp = &warps_[i / 32];
    t.warp->alive |= 1u << t.lane;
    order_[i] = reverse ? n - 1 - i : i;
  }
  // Here and not when they are needed: no memory of the runner is obtained in sight of TSan.
  idle_.reserve(n);
  while (announced_ && announced_fibers_.size() < 2 * n) {
    announced_fibers_.push_back(new_fiber(&fiber_main, true));
  }
}

void BlockRunner::run(Launch& launch, std::size_t index) {
  const sanitizers::Untraced untraced;
  set_up(launch, index);
#if EMU_TSAN
  scheduler_.tsan = announced_ ? __tsan_get_current_fiber() : nullptr;
#endif
  {
    const sanitizers::Traced traced;
    run_all_threads();
  }
  free_shared_memory();
  odd_ ^= 1;
  block = nullptr;
}

}  // namespace seqrank::simt
