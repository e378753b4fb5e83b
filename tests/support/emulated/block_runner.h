// Runs the blocks of launches on one OS thread: a block's threads take turns as fibers. What
// kernels call is in simt.h; the turns that they take are decided here.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <random>
#include <vector>

#include "tests/support/emulated/fiber.h"
#include "tests/support/emulated/options.h"
#include "tests/support/emulated/simt.h"

namespace seqrank::simt {

// Where the lanes of one mask meet.
struct WarpSync {
  std::uint32_t mask = 0, arrived = 0;
  std::uint64_t phase = 0;
  const char* word = nullptr;
  Packet packets[2][32];
  char order[2][2];  // addresses for release and acquire
};

struct Warp {
  std::uint32_t alive = 0;
  int masks = 0;
  WarpSync sync[8];
};

struct Launch {
  Shape shape;
  const std::function<void()>* body;
  std::size_t blocks;
  bool threads_announced;  // to TSan: each CUDA thread is a thread to it, else a block is
  std::atomic<std::size_t> next_block{0};
  char begun = 0, ended = 0;  // addresses for release and acquire
};

class BlockRunner {
 public:
  void run(Launch& launch, std::size_t index);

  // For the thread that runs.
  void sync_threads(Place place);
  const Packet* exchange(std::uint32_t mask, const Packet& mine, const Meeting& meeting,
                         Place place);
  void* shared_memory(const void* key, std::size_t bytes);
  // What the launch asked for, as one variable.
  void* dynamic_shared_memory();
  void run_one_thread();  // the current one's whole life, on a fiber

 private:
  struct SharedVariable {
    const void* key;
    unsigned char* data;
    std::size_t bytes;
  };
  void set_up(Launch& launch, std::size_t index);
  void set_up_threads();
  void free_shared_memory();
  void run_all_threads();
  void run_round(std::size_t begin, std::size_t end);
  void run_warp_until_stuck(std::size_t warp);
  Thread* next_in_round();
  void go_on(Fiber& from, Thread* next);
  void yield();
  Fiber* fiber_for(const Thread& t);
  WarpSync& meeting_place(std::uint32_t mask, Place place);

  Launch* launch_ = nullptr;
  bool announced_ = false;
  Block block_;
  std::vector<Thread> threads_;
  std::vector<Warp> warps_;
  // A round gives each living thread of a part of the order one turn. A thread that has to wait
  // switches to the next of the round itself, the last one to the scheduler.
  std::vector<unsigned> order_;
  std::size_t round_ = 0, round_end_ = 0;
  std::vector<SharedVariable> shared_;
  std::mt19937 random_{emu::options().seed};

  unsigned alive_ = 0, arrived_ = 0;
  Place barrier_;
  std::uint64_t phase_ = 0, progress_ = 0;
  unsigned odd_ = 0;          // alternates from block to block
  char barrier_order_[2][2];  // addresses for release and acquire

  Fiber scheduler_;
  std::vector<Fiber*> idle_;              // not announced
  std::vector<Fiber*> announced_fibers_;  // two for each thread of a block
};

BlockRunner& runner();  // the calling OS thread's

}  // namespace seqrank::simt
