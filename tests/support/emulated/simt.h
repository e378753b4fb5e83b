// Runs CUDA kernel bodies on the CPU, one fiber per CUDA thread; the side that kernels see.
//
// It keeps what kernels rely on (barriers, warp exchanges, atomics, shared memory) and makes what
// they must not rely on visible: shared memory starts poisoned, threads run in four schedules
// (options.h), a barrier that cannot be met is reported with the place where each thread waits.
// It says nothing of speed, and nothing of the GPU's memory model beyond barriers and atomics.
#pragma once

#include <vector_types.h>  // dim3, uint3

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <source_location>
#include <type_traits>
#include <vector>

namespace seqrank::simt {

using Place = std::source_location;

struct Warp;
struct Fiber;

struct AsyncCopy {
  void* to;
  const void* from;
  unsigned group;
};

struct Thread {
  uint3 index{};
  unsigned flat = 0, lane = 0;
  Warp* warp = nullptr;
  Fiber* fiber = nullptr;  // from its first step to its last
  bool done = false;
  const char* waits_for = "its first step";
  Place place;
  std::vector<AsyncCopy> copies;  // of cp.async, not yet landed
  unsigned copy_group = 0;
};

struct Block {
  uint3 index{};
  dim3 dim, grid_dim;
};

// One block at a time per OS thread; its fibers stay on that OS thread.
constinit inline thread_local Thread* thread = nullptr;
constinit inline thread_local Block* block = nullptr;

// Ends the program; says which CUDA thread it was, where.
[[noreturn]] void die(const char* message, Place place);

void sync_threads(Place place);

struct Packet {
  alignas(16) unsigned char bytes[64];
};
// One lane does it for all when they have met: from what those that came handed in to what all get.
using Combine = void (*)(Packet (&packets)[32], std::uint32_t came);

// Meets the lanes of `mask` in the operation `word`. Each hands in one packet and gets all 32,
// valid until the lane's next exchange but one. Shuffles order no memory on a GPU; only __syncwarp
// does. Lanes that have ended are not waited for; their packets are poison.
struct Meeting {
  const char* word;
  bool orders_memory = false;
  Combine combine = nullptr;
};
const Packet* exchange(std::uint32_t mask, const Packet& mine, const Meeting& meeting, Place place);

template <class T>
T from_lane(std::uint32_t mask, T value, unsigned source, const char* word, Place place) {
  static_assert(sizeof(T) <= sizeof(Packet) && std::is_trivially_copyable_v<T>);
  Packet mine{};
  std::memcpy(&mine, &value, sizeof value);
  const Packet* all = exchange(mask, mine, {word}, place);
  if ((mask >> source & 1) == 0) die("a shuffle reads a lane outside its mask", place);
  std::memcpy(static_cast<void*>(&value), &all[source], sizeof value);
  return value;
}

// The lanes of `mask` whose predicate holds.
std::uint32_t ballot(std::uint32_t mask, bool predicate, Place place);
std::uint32_t living_lanes();

// The block's copy of one __shared__ variable; `key` is an address unique to the variable.
void* shared_memory(const void* key, std::size_t bytes);
void* dynamic_shared_memory();

struct Shape {
  dim3 grid, block;
  std::size_t dynamic_shared = 0;  // bytes
};

// Runs the whole grid and returns. `body` is one CUDA thread's work.
void run(const Shape& shape, const std::function<void()>& body);

}  // namespace seqrank::simt
