// Blocks, barriers and warp exchanges (block_runner.h). Under TSan this file is compiled without
// instrumentation: its own bookkeeping is shared by all fibers of a block by design, and only the
// order that CUDA promises is announced (sanitizers.h).
#include "tests/support/emulated/block_runner.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <mutex>

#include "tests/support/emulated/runtime.h"
#include "tests/support/emulated/sanitizers.h"
#include "tests/support/emulated/simt_report.h"

namespace seqrank::simt {

namespace {

constexpr std::size_t kTail = EMU_ASAN ? 0 : 128;  // bytes

void poison(void* p, std::size_t bytes) {
  std::memset(p, 0xff, bytes);
}

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

[[noreturn]] void fiber_main() {
  fiber_has_started(runner().scheduler());
  for (;;) runner().run_one_thread();
}

}  // namespace

// Not inlined: a fiber may go on on another OS thread after it has been idle, where thread-local
// addresses are others.
[[gnu::noinline]] BlockRunner& runner() {
  static thread_local RunnerLoan loan;
  return *loan;
}

// A thread that ends without ever waiting hands its (cache-warm) stack to the next one, so a kernel
// without barriers costs two switches a thread and one stack. Where TSan sees fibers as threads,
// each CUDA thread of a block has its own, and successive blocks have different ones: else TSan
// would take blocks for ordered.
Fiber* BlockRunner::fiber_for(const Thread& t) {
  if (announced_) {
    while (announced_fibers_.size() <= 2 * t.flat + 1) {
      announced_fibers_.push_back(new_fiber(&fiber_main, true));
    }
    return announced_fibers_[2 * t.flat + odd_];
  }
  if (idle_.empty()) return new_fiber(&fiber_main, false);
  Fiber* f = idle_.back();
  idle_.pop_back();
  return f;
}

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
  yield();
}

void BlockRunner::yield() {
  switch_fiber(*thread->fiber, scheduler_);
}

void BlockRunner::step(Thread& t) {
  if (t.done) return;
  if (t.fiber == nullptr) t.fiber = fiber_for(t);
  thread = &t;
  switch_fiber(scheduler_, *t.fiber);
  if (t.done && !announced_) idle_.push_back(t.fiber);
}

void BlockRunner::step_warp_until_stuck(std::size_t warp) {
  std::uint64_t before;
  do {
    before = progress_;
    const std::size_t end = std::min(threads_.size(), warp * 32 + 32);
    for (std::size_t i = warp * 32; i < end; ++i) step(threads_[i]);
  } while (progress_ != before);
}

void BlockRunner::run_all_threads() {
  const emu::Schedule schedule = emu::options().schedule;
  while (alive_ > 0) {
    const std::uint64_t before = progress_;
    if (schedule == emu::Schedule::greedy) {
      const std::size_t first = random_();
      for (std::size_t w = 0; w < warps_.size(); ++w) {
        step_warp_until_stuck((first + w) % warps_.size());
      }
    } else {
      if (schedule == emu::Schedule::random) std::shuffle(order_.begin(), order_.end(), random_);
      for (unsigned i : order_) step(threads_[i]);
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

void BlockRunner::sync_threads(Place place) {
  const std::uint64_t phase = phase_;
  if (arrived_ == 0) barrier_ = place;
  if (!same_place(place, barrier_)) {
    const std::string message =
        fmt::format("threads of one block meet at different __syncthreads(), the other at {}",
                    text_of(barrier_));
    die(message.c_str(), place);
  }
  ++arrived_;
  ++progress_;
  thread->waits_for = "__syncthreads";
  thread->place = place;
  if (announced_) sanitizers::release(&barrier_order_[odd_][phase & 1]);
  while (phase_ == phase) {
    if (arrived_ >= alive_) {
      arrived_ = 0;
      ++phase_;
      ++progress_;
    } else {
      yield();
    }
  }
  if (announced_) sanitizers::acquire(&barrier_order_[odd_][phase & 1]);
}

WarpSync& BlockRunner::meeting_place(std::uint32_t mask, Place place) {
  Warp& w = *thread->warp;
  for (int i = 0; i < w.masks; ++i) {
    if (w.sync[i].mask == mask) return w.sync[i];
  }
  if (w.masks == 8) die("a warp uses more than eight masks", place);
  WarpSync& s = w.sync[w.masks++];
  s.mask = mask;
  s.arrived = 0;
  return s;
}

const Packet* BlockRunner::exchange(std::uint32_t mask, const Packet& mine, const Meeting& meeting,
                                    Place place) {
  Warp& w = *thread->warp;
  if ((mask >> thread->lane & 1) == 0) die("a lane is outside the mask it names", place);
  WarpSync& s = meeting_place(mask, place);
  const std::uint64_t phase = s.phase;
  if (s.arrived == 0) s.word = meeting.word;
  if (std::strcmp(s.word, meeting.word) != 0) {
    const std::string message =
        fmt::format("lanes of one warp meet at {} and {}", meeting.word, s.word);
    die(message.c_str(), place);
  }
  s.packets[phase & 1][thread->lane] = mine;
  s.arrived |= 1u << thread->lane;
  ++progress_;
  thread->waits_for = meeting.word;
  thread->place = place;
  const bool ordered = announced_ && meeting.orders_memory;
  if (ordered) sanitizers::release(&s.order[odd_][phase & 1]);
  while (s.phase == phase) {
    if ((s.arrived & w.alive) == (mask & w.alive)) {
      auto& packets = s.packets[phase & 1];
      for (unsigned lane = 0; s.arrived != mask && lane < 32; ++lane) {
        if ((s.arrived >> lane & 1) == 0) poison(&packets[lane], sizeof(Packet));
      }
      if (meeting.combine != nullptr) meeting.combine(packets, s.arrived);
      s.arrived = 0;
      ++s.phase;
      ++progress_;
    } else {
      yield();
    }
  }
  if (ordered) sanitizers::acquire(&s.order[odd_][phase & 1]);
  return s.packets[phase & 1];
}

// Allocated anew for each block, so that ASan sees its bounds and no sanitizer its past. Where
// there is no ASan, a tail behind it shows what is written there.
void* BlockRunner::shared_memory(const void* key, std::size_t bytes) {
  for (const SharedVariable& v : shared_) {
    if (v.key == key) return v.data;
  }
  const sanitizers::Untraced untraced;
  void* p = nullptr;
  if (posix_memalign(&p, 128, bytes + kTail) != 0) std::abort();
  poison(p, bytes + kTail);
  shared_.push_back({key, static_cast<unsigned char*>(p), bytes});
  return p;
}

void* BlockRunner::dynamic_shared_memory() {
  return shared_memory(launch_, launch_->shape.dynamic_shared);
}

void BlockRunner::free_shared_memory() {
  for (const SharedVariable& v : shared_) {
    const unsigned char* tail = v.data + v.bytes;
    if (std::any_of(tail, tail + kTail, [](unsigned char c) { return c != 0xff; })) {
      emu::violation(
          fmt::format("block {},{},{} writes behind the end of a shared array of {} bytes",
                      block_.index.x, block_.index.y, block_.index.z, v.bytes));
    }
    std::free(v.data);
  }
  shared_.clear();
}

}  // namespace seqrank::simt
