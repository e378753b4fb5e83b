// The emulated device (runtime.h): what is checked as operations are enqueued, and how they are
// reported.
#include "tests/support/emulated/runtime.h"

#include <fmt/core.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "backend/cuda/launch_limits.h"
#include "tests/support/emulated/launch.h"
#include "tests/support/emulated/state.h"

namespace seqrank::emu {

using sanitizers::Untraced;

namespace {

struct Violations {
  std::mutex mutex;
  std::size_t count = 0;
  std::vector<std::string> messages;  // each once: a loop repeats the same one at every turn
};

// A program that no test guards must not end well either.
void refuse_a_good_end() {
  const std::size_t count = violations();
  if (count == 0) return;
  std::fflush(nullptr);
  std::fprintf(stderr, "emulated device: %zu violations, see above\n", count);
  _exit(kViolationExit);
}

Violations& all_violations() {
  static Violations* v = [] {
    std::atexit(refuse_a_good_end);
    return new Violations;
  }();
  return *v;
}

std::map<std::uintptr_t, Allocation>::iterator find_allocation(const void* p) {
  auto& all = state().allocations;
  const auto next = all.upper_bound(untagged(p));
  return next == all.begin() ? all.end() : std::prev(next);
}

// An element that still holds the poison was not written.
void check_output(const std::string& what, const Range& r) {
  const Untraced untraced;
  if (r.element_bytes % 2 != 0) return;
  const auto* p = reinterpret_cast<const std::uint16_t*>(untagged(r.begin));
  const std::size_t words = r.element_bytes / 2;
  std::size_t missing = 0, first = 0;
  for (std::size_t i = 0; i < r.count; ++i) {
    const bool untouched = std::all_of(p + i * words, p + (i + 1) * words,
                                       [](std::uint16_t w) { return w == kPoison; });
    if (untouched && missing++ == 0) first = i;
  }
  if (missing == 0) return;
  violation(
      fmt::format("{} leaves {} of {} elements of an out() argument unwritten, the first "
                  "at {}",
                  what, missing, r.count, first));
}

// For an address that has the tag the processor names none. The sanitizers tell themselves.
void explain_fault(int number, siginfo_t* info, void*) {
  if (info->si_addr == nullptr) {
    constexpr char text[] = "emulated device: a fault, perhaps the host uses a device pointer\n";
    [[maybe_unused]] const auto written = write(STDERR_FILENO, text, sizeof text - 1);
  }
  signal(number, SIG_DFL);  // and again
}

}  // namespace

State& state() {
  static State* s = [] {
    if (!EMU_ASAN && !EMU_TSAN) {
      struct sigaction action = {};
      action.sa_sigaction = explain_fault;
      action.sa_flags = SA_SIGINFO;
      sigaction(SIGSEGV, &action, nullptr);
    }
    return new State;
  }();
  return *s;
}

cudaError_t fail(cudaError_t error, const std::string& message) {
  violation(message);
  last_error = error;
  return error;
}

Entry::Entry(const char* call) {
  if (in_host_task) violation(fmt::format("{} is called from a host task", call));
}

std::size_t host_actor() {
  static const std::size_t all = state().order.new_actor("the host");
  if (!options().hosts_apart) return all;
  static thread_local const std::size_t own = state().order.new_actor("a host thread");
  return own;
}

void begin_operation(CUstream_st* stream) {
  OrderCheck& order = state().order;
  order.advance(host_actor());
  order.follow(stream->actor, order.clock(host_actor()));
  order.advance(stream->actor);
}

bool usable(CUstream_st* stream, const char* call) {
  if (stream == nullptr) {
    fail(cudaErrorInvalidResourceHandle, fmt::format("{} uses the default stream", call));
    return false;
  }
  if (stream->device != current_device) {
    violation(fmt::format("{} uses a stream of another device", call));
  }
  return true;
}

void touch(std::size_t actor, const std::string& what, const void* begin, std::size_t bytes,
           cuda::Mode mode) {
  if (bytes == 0) return;
  const auto a = find_allocation(begin);
  if (a == state().allocations.end() || untagged(begin) + bytes > a->first + a->second.bytes) {
    violation(
        fmt::format("{}: {} bytes are not within one allocation (pageable host memory, or "
                    "out of bounds)",
                    what, bytes));
    return;
  }
  if (a->second.freed) violation(what + " uses memory after it is freed");
  if (!options().check_order) return;
  const std::string message =
      state().order.touch(actor, what, a->first, untagged(begin), untagged(begin) + bytes, mode);
  if (!message.empty()) violation(message);
}

void violation(const std::string& message) {
  const Untraced untraced;
  Violations& all = all_violations();
  const std::lock_guard lock(all.mutex);
  ++all.count;
  if (std::ranges::find(all.messages, message) != all.messages.end()) return;
  all.messages.push_back(message);
  std::fprintf(stderr, "emulated device: %s\n", message.c_str());
}

std::size_t violations() {
  const Untraced untraced;
  Violations& all = all_violations();
  const std::lock_guard lock(all.mutex);
  return all.count;
}

std::vector<std::string> take_violations() {
  const Untraced untraced;
  Violations& all = all_violations();
  const std::lock_guard lock(all.mutex);
  all.count = 0;
  return std::exchange(all.messages, {});
}

void* host_address(const void* device_pointer, std::size_t bytes) {
  if (device_pointer == nullptr || bytes == 0) return nullptr;
  if (!is_device(device_pointer)) violation("a host pointer is passed to a kernel");
  return address(untagged(device_pointer));
}

void declare(cudaStream_t stream, const std::string& what, const std::vector<Range>& ranges) {
  const Entry entry("declare");
  if (!usable(stream, what.c_str())) return;
  begin_operation(stream);
  stream->declared = what;
  for (const Range& r : ranges) touch(stream->actor, what, r.begin, r.bytes(), r.mode);
}

void enqueue(cudaStream_t stream, std::string what, std::vector<Range> ranges,
             std::function<void()> work) {
  const Entry entry(what.c_str());
  if (!usable(stream, what.c_str())) return;
  begin_operation(stream);
  for (const Range& r : ranges) touch(stream->actor, what, r.begin, r.bytes(), r.mode);
  push(stream, what, [what, ranges = std::move(ranges), work = std::move(work)] {
    const bool check = options().check_written;
    for (const Range& r : ranges) {
      if (r.mode == cuda::Mode::write && check) poison(untagged(r.begin), r.bytes());
    }
    work();
    for (const Range& r : ranges) {
      if (r.mode == cuda::Mode::write && check) check_output(what, r);
    }
  });
}

void host_touches(const void* begin, std::size_t bytes, cuda::Mode mode, const char* what) {
  const Entry entry("host_touches");
  state().order.advance(host_actor());
  touch(host_actor(), what, begin, bytes, mode);
}

void name_stream(cudaStream_t stream, const char* name) {
  const Entry entry("name_stream");
  stream->name = name;
  state().order.rename(stream->actor, name);
  pthread_setname_np(stream->worker.native_handle(), stream->name.substr(0, 15).c_str());
}

void check_shape(const std::string& kernel, const simt::Shape& s) {
  const std::size_t threads = std::size_t{s.block.x} * s.block.y * s.block.z;
  const bool refused = threads == 0 || threads > 1024 || s.block.z > 64 || s.grid.x > 0x7fffffff ||
                       s.grid.y > 65535 || s.grid.z > 65535;
  if (refused) violation(kernel + ": a GPU refuses this launch shape");
  cuda::expect_shared_memory(kernel, s.dynamic_shared, kSharedMemory);
}

}  // namespace seqrank::emu
