// What the threads of a block share (block_runner.h): barriers, warp exchanges and shared memory.
// Under TSan not instrumented, as block_runner.cc.
#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "tests/support/emulated/block_runner.h"
#include "tests/support/emulated/runtime.h"
#include "tests/support/emulated/sanitizers.h"
#include "tests/support/emulated/simt_report.h"

namespace seqrank::simt {

namespace {

constexpr std::size_t kTail = EMU_ASAN ? 0 : 128;  // bytes

void poison(void* p, std::size_t bytes) {
  std::memset(p, 0xff, bytes);
}

}  // namespace

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
  if (s.word != meeting.word && std::strcmp(s.word, meeting.word) != 0) {
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
