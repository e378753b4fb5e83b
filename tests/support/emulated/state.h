// What the files of the emulated device share; nobody else includes it. Under TSan these files are
// compiled without instrumentation: they say themselves which ranges they touch, and what order
// CUDA promises.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <thread>

#include "tests/support/emulated/options.h"
#include "tests/support/emulated/order_check.h"
#include "tests/support/emulated/runtime.h"
#include "tests/support/emulated/sanitizers.h"

namespace seqrank::emu {

// One recording of an event. Waiters hold the recording, not the event, because a wait means the
// latest record at the time of the call.
struct Completion {
  std::mutex mutex;
  std::condition_variable changed;
  bool done = false;
  std::chrono::steady_clock::time_point time;
  Clock clock;
  char order = 0;  // address for release and acquire
};

struct Task {
  std::string what;
  std::function<void()> run;
  char order = 0;  // address for release and acquire
};

}  // namespace seqrank::emu

struct CUstream_st {
  int device;
  std::size_t actor;
  std::string name;
  std::string declared;  // what the next host task calls itself
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<seqrank::emu::Task*> queue;
  seqrank::emu::Task* running = nullptr;
  bool stop = false;
  char order = 0;  // address for release and acquire: all tasks that have run
  std::mt19937 random;
  std::thread worker;
};

struct CUevent_st {
  int device;
  bool timed;
  std::shared_ptr<seqrank::emu::Completion> latest;  // none before the first record
};

namespace seqrank::emu {

// A user-space address never has this bit, and an address that has it faults.
constexpr std::uintptr_t kDeviceTag = std::uintptr_t{1} << 62;
constexpr std::size_t kAlignment = 256;
// Poison behind each allocation, where ASan has none.
constexpr std::size_t kTail = EMU_ASAN ? 0 : 256;
constexpr unsigned char kTailByte = 0xff;

inline std::uintptr_t number(const void* p) {
  return reinterpret_cast<std::uintptr_t>(p);
}
inline bool is_device(const void* p) {
  return (number(p) & kDeviceTag) != 0;
}
inline std::uintptr_t untagged(const void* p) {
  return number(p) & ~kDeviceTag;
}
inline char* address(std::uintptr_t p) {
  return reinterpret_cast<char*>(p);
}

struct Allocation {
  enum class Kind { pinned, device, managed };
  std::size_t bytes;
  Kind kind;
  int device;
  std::size_t on_device;  // bytes of its memory that this takes; of managed memory the first
  bool freed = false;     // cudaFree was called
  bool poisoned = false;  // and its turn has come
};

constexpr std::size_t kSharedMemory = 227 << 10;  // that a block may have

struct Freed {
  std::uintptr_t begin;
  std::size_t bytes;
  int device;
};

struct State {
  std::mutex mutex;
  OrderCheck order;
  std::map<std::uintptr_t, Allocation> allocations;  // freed ones too while in quarantine
  std::deque<std::uintptr_t> quarantine;             // oldest first
  std::size_t quarantine_bytes = 0;
  std::map<int, std::size_t> used;  // bytes of each device
  std::vector<Freed> pooled;        // of these, under Options::pool_keeps_freed
  std::vector<CUstream_st*> streams;
  std::map<int, std::mutex> host_task;  // of each device
};
inline std::atomic<std::uint64_t> progress{0};  // blocks and other tasks done: nothing is stuck

State& state();  // never destroyed: stream threads may outlive static objects

constinit inline thread_local int current_device = 0;
constinit inline thread_local bool in_host_task = false;
constinit inline thread_local const CUstream_st* this_stream = nullptr;  // on a stream's thread
constinit inline thread_local cudaError_t last_error = cudaSuccess;

// Prints and counts, and becomes the last error.
cudaError_t fail(cudaError_t error, const std::string& message);

// Stands at the top of every entry point. Holds the lock and hides the machinery from TSan.
struct Entry {
  sanitizers::Untraced untraced;
  std::unique_lock<std::mutex> lock{state().mutex};
  explicit Entry(const char* call);
};

// What follows is called inside an Entry.

std::size_t host_actor();  // the calling thread
bool usable(CUstream_st* stream, const char* call);
// An operation starts on a stream: after all the host did, and all before it on the stream.
void begin_operation(CUstream_st* stream);
// Checks one range, and lets `actor` touch it.
void touch(std::size_t actor, const std::string& what, const void* begin, std::size_t bytes,
           cuda::Mode mode);
// In the order that the check saw.
void push(CUstream_st* stream, std::string what, std::function<void()> run);
std::shared_ptr<Completion> record(CUstream_st* stream);

// The calling host thread waits, and comes after everything that was recorded. Not in an Entry.
void host_waits(std::shared_ptr<Completion> completion);

// The first step of every allocation; its contents are the caller's.
cudaError_t allocate(void** result, std::size_t bytes, Allocation::Kind kind);

void poison(std::uintptr_t begin, std::size_t bytes);  // not in an Entry

}  // namespace seqrank::emu
