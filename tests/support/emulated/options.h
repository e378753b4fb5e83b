// What a test may set on the emulated device: in code, or in the environment variable
// SEQRANK_EMULATED="schedule=greedy,tsan=threads,devices=2", read at the first use.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace seqrank::emu {

enum class Schedule {
  forward,  // the threads of a block in order, each until it waits
  reverse,
  random,
  greedy,  // each warp until it is stuck: shows a missing barrier between a read and the next write
};

// What ThreadSanitizer takes for a thread.
enum class TsanView {
  blocks,   // a block: finds races between streams, the host and, with os_threads, blocks
  threads,  // each CUDA thread: also races within a block; slow. Blocks of at most 256 threads
};

struct Options {
  int devices = 2;
  std::size_t device_memory = std::size_t{1} << 30;  // bytes, of each
  // Freed memory of a device serves again only after cudaMemPoolTrimTo, and that takes only what
  // the streams have come to: the worst that a driver's pool may do.
  bool pool_keeps_freed = false;
  // Whether it reads and writes managed memory of the host where it lies.
  bool managed_access = true;

  Schedule schedule = Schedule::forward;
  TsanView tsan = TsanView::blocks;
  unsigned os_threads = 1;  // the blocks of one launch run on this many
  unsigned seed = 1;

  bool check_order = true;    // of declared accesses
  bool check_written = true;  // poison what a launch declares as out(), look for it afterwards
  // The check cannot see how host threads wait for each other. So they count as one actor: what one
  // has waited for, all have. TSan knows better; apart, a hand-over between threads is reported.
  bool hosts_apart = false;
  // Operations may be late by a random time up to this, to shake out timing; those on streams whose
  // name contains `slow_stream` are always late by `slow_us`.
  unsigned random_delay_us = 0;
  std::string slow_stream;
  unsigned slow_us = 1000;
  // CUDA may run host tasks of unrelated streams one after the other, so one that waits for another
  // may hang. Here they are serial per device.
  bool serial_host_tasks = true;
  // A host thread that waits for so long while nothing is done anywhere prints what all streams are
  // at, and aborts.
  unsigned stuck_after_s = 60;
};

// Change them before the first CUDA call, or while all streams are idle.
Options& options();

// "name=value,name=value"; throws Error (usage) for what it does not know.
void set_options(std::string_view text);

}  // namespace seqrank::emu
