// The emulated device: CUDA's functions for memory.
#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "tests/support/emulated/state.h"

using namespace seqrank::emu;  // NOLINT: CUDA's functions are global
using seqrank::cuda::Mode;
using Kind = seqrank::emu::Allocation::Kind;
using seqrank::sanitizers::Untraced;

namespace {

void check_tail(std::uintptr_t begin, std::size_t bytes) {
  const char* tail = address(begin + bytes);
  const bool intact = std::all_of(
      tail, tail + kTail, [](char c) { return static_cast<unsigned char>(c) == kTailByte; });
  if (!intact) {
    violation(
        fmt::format("something was written behind the end of an allocation of {} bytes", bytes));
  }
}

// Marks an allocation as freed and puts it in quarantine; the caller poisons it in due order.
void retire(std::uintptr_t begin, Allocation& a) {
  State& s = state();
  a.freed = true;
  if (a.kind == Kind::device && options().pool_keeps_freed)
    s.pooled.push_back({begin, a.bytes, a.device});
  else
    s.used[a.device] -= a.on_device;
  s.quarantine.push_back(begin);
  s.quarantine_bytes += a.bytes;
}

void poison_freed(std::uintptr_t begin, std::size_t bytes) {
  {
    const Untraced untraced;
    check_tail(begin, bytes);
  }
  poison(begin, bytes);
  seqrank::sanitizers::forbid(address(begin), bytes);
  const Untraced untraced;
  const std::lock_guard lock(state().mutex);
  state().allocations[begin].poisoned = true;
}

// Gives back the oldest freed memory, down to the limit.
void empty_quarantine(std::size_t limit) {
  State& s = state();
  while (s.quarantine_bytes > limit && s.allocations[s.quarantine.front()].poisoned) {
    const std::uintptr_t begin = s.quarantine.front();
    s.quarantine.pop_front();
    s.quarantine_bytes -= s.allocations[begin].bytes;
    seqrank::sanitizers::allow(address(begin), s.allocations[begin].bytes);
    s.order.forget(begin);
    s.allocations.erase(begin);
    std::free(address(begin));
  }
}

Allocation* living(std::uintptr_t begin) {
  const auto a = state().allocations.find(begin);
  return a == state().allocations.end() || a->second.freed ? nullptr : &a->second;
}

// A GPU synchronizes here, but does not promise it: what is not ordered already is a violation.
cudaError_t free_at_once(const char* call, void* p, Kind kind) {
  if (p == nullptr) return cudaSuccess;
  const std::uintptr_t begin = untagged(p);
  std::size_t bytes;
  {
    const Entry entry(call);
    Allocation* a = living(begin);
    if (a == nullptr || a->kind != kind) {
      return fail(cudaErrorInvalidValue,
                  fmt::format("{}: not an allocation, or freed twice", call));
    }
    bytes = a->bytes;
    state().order.advance(host_actor());
    touch(host_actor(), call, p, bytes, Mode::write);
    retire(begin, *a);
  }
  poison_freed(begin, bytes);
  return cudaSuccess;
}

struct Copy {
  void* to;
  std::size_t to_pitch;
  const void* from;
  std::size_t from_pitch;
  std::size_t width, height;  // bytes, rows
};

cudaError_t copy_async(const char* call, const Copy& c, cudaMemcpyKind kind, CUstream_st* stream) {
  const Entry entry(call);
  if (!usable(stream, call)) return last_error;
  const bool to_device = is_device(c.to), from_device = is_device(c.from);
  const cudaMemcpyKind seen = to_device
                                  ? from_device ? cudaMemcpyDeviceToDevice : cudaMemcpyHostToDevice
                                  : (from_device ? cudaMemcpyDeviceToHost : cudaMemcpyHostToHost);
  if (kind != seen && kind != cudaMemcpyDefault) {
    return fail(cudaErrorInvalidValue,
                fmt::format("{}: the pointers do not fit the direction", call));
  }
  if (c.width == 0 || c.height == 0) return cudaSuccess;
  if (c.width > c.to_pitch || c.width > c.from_pitch) {
    return fail(cudaErrorInvalidValue, fmt::format("{}: rows overlap", call));
  }
  begin_operation(stream);
  const std::string what = to_device ? from_device ? "copy on the device" : "copy to the device"
                                     : (from_device ? "copy to the host" : "copy on the host");
  touch(stream->actor, what, c.from, (c.height - 1) * c.from_pitch + c.width, Mode::read);
  touch(stream->actor, what, c.to, (c.height - 1) * c.to_pitch + c.width, Mode::write);
  push(stream, what, [c] {
    for (std::size_t row = 0; row < c.height; ++row) {
      std::memcpy(address(untagged(c.to) + row * c.to_pitch),
                  address(untagged(c.from) + row * c.from_pitch), c.width);
    }
  });
  return cudaSuccess;
}

}  // namespace

cudaError_t seqrank::emu::allocate(void** result, std::size_t bytes, Allocation::Kind kind) {
  *result = nullptr;
  if (bytes == 0) return cudaSuccess;
  State& s = state();
  empty_quarantine(options().device_memory / 4);
  const std::size_t on_device = kind == Kind::device ? bytes : 0;
  if (s.used[current_device] + on_device > options().device_memory) {
    return last_error = cudaErrorMemoryAllocation;
  }
  void* p = nullptr;
  if (posix_memalign(&p, kAlignment, bytes + kTail) != 0) {
    return last_error = cudaErrorMemoryAllocation;
  }
  const std::uintptr_t begin = number(p);
  std::memset(address(begin + bytes), kTailByte, kTail);
  s.used[current_device] += on_device;
  s.allocations[begin] = {bytes, kind, current_device, on_device};
  *result = kind == Kind::pinned ? p : address(begin | kDeviceTag);
  return cudaSuccess;
}

void seqrank::emu::poison(std::uintptr_t begin, std::size_t bytes) {
  auto* p = reinterpret_cast<std::uint16_t*>(begin);
  std::fill(p, p + bytes / 2, kPoison);
  if (bytes % 2 != 0) std::memset(address(begin + bytes - 1), 0xff, 1);
  sanitizers::has_written(address(begin), bytes);
}

cudaError_t cudaHostAlloc(void** result, std::size_t bytes, unsigned) {
  cudaError_t error;
  {
    const Entry entry("cudaHostAlloc");
    error = allocate(result, bytes, Kind::pinned);
  }
  if (*result != nullptr) poison(untagged(*result), bytes);
  return error;
}

cudaError_t cudaMallocHost(void** result, std::size_t bytes) {
  return cudaHostAlloc(result, bytes, 0);
}

cudaError_t cudaFreeHost(void* p) {
  return free_at_once("cudaFreeHost", p, Kind::pinned);
}

// Of managed memory alone.
cudaError_t cudaFree(void* p) {
  return free_at_once("cudaFree", p, Kind::managed);
}

cudaError_t cudaMallocAsync(void** result, std::size_t bytes, cudaStream_t stream) {
  const Entry entry("cudaMallocAsync");
  *result = nullptr;
  if (!usable(stream, "cudaMallocAsync")) return last_error;
  const cudaError_t error = allocate(result, bytes, Kind::device);
  if (*result == nullptr) return error;
  begin_operation(stream);
  touch(stream->actor, "cudaMallocAsync", *result, bytes, Mode::write);
  push(stream, "cudaMallocAsync", [p = untagged(*result), bytes] { poison(p, bytes); });
  return cudaSuccess;
}

cudaError_t cudaFreeAsync(void* p, cudaStream_t stream) {
  if (p == nullptr) return cudaSuccess;
  const std::uintptr_t begin = untagged(p);
  const Entry entry("cudaFreeAsync");
  if (!usable(stream, "cudaFreeAsync")) return last_error;
  Allocation* a = living(begin);
  if (a == nullptr || a->kind != Kind::device) {
    return fail(cudaErrorInvalidValue, "cudaFreeAsync: not an allocation, or freed twice");
  }
  const std::size_t bytes = a->bytes;
  begin_operation(stream);
  touch(stream->actor, "cudaFreeAsync", p, bytes, Mode::write);
  retire(begin, *a);
  push(stream, "cudaFreeAsync", [begin, bytes] { poison_freed(begin, bytes); });
  return cudaSuccess;
}

// A device's pool is told by its number.
cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* pool, int device) {
  const Entry entry("cudaDeviceGetDefaultMemPool");
  if (device < 0 || device >= options().devices) {
    return fail(cudaErrorInvalidDevice, "cudaDeviceGetDefaultMemPool: no such device");
  }
  *pool = reinterpret_cast<cudaMemPool_t>(static_cast<std::uintptr_t>(device) + 1);
  return cudaSuccess;
}

cudaError_t cudaMemPoolTrimTo(cudaMemPool_t pool, std::size_t keep) {
  const Entry entry("cudaMemPoolTrimTo");
  const int device = static_cast<int>(number(pool)) - 1;
  if (device < 0 || device >= options().devices || keep != 0) {
    return fail(cudaErrorInvalidValue, "cudaMemPoolTrimTo: of a default pool, to 0, alone");
  }
  State& s = state();
  std::erase_if(s.pooled, [&](const Freed& freed) {
    const auto a = s.allocations.find(freed.begin);
    const bool to_come = a != s.allocations.end() && a->second.freed && !a->second.poisoned;
    if (freed.device != device || to_come) return false;
    s.used[device] -= freed.bytes;
    return true;
  });
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  return copy_async("cudaMemcpyAsync", {to, bytes, from, bytes, bytes, 1}, kind, stream);
}

cudaError_t cudaMemcpy2DAsync(void* to, std::size_t to_pitch, const void* from,
                              std::size_t from_pitch, std::size_t width, std::size_t height,
                              cudaMemcpyKind kind, cudaStream_t stream) {
  return copy_async("cudaMemcpy2DAsync", {to, to_pitch, from, from_pitch, width, height}, kind,
                    stream);
}

cudaError_t cudaMemsetAsync(void* p, int value, std::size_t bytes, cudaStream_t stream) {
  const Entry entry("cudaMemsetAsync");
  if (!usable(stream, "cudaMemsetAsync")) return last_error;
  if (bytes == 0) return cudaSuccess;
  if (!is_device(p)) return fail(cudaErrorInvalidValue, "cudaMemsetAsync: not device memory");
  begin_operation(stream);
  touch(stream->actor, "cudaMemsetAsync", p, bytes, Mode::write);
  push(stream, "cudaMemsetAsync",
       [p = untagged(p), value, bytes] { std::memset(address(p), value, bytes); });
  return cudaSuccess;
}

cudaError_t cudaMemGetInfo(std::size_t* available, std::size_t* total) {
  const Entry entry("cudaMemGetInfo");
  *total = options().device_memory;
  *available = *total - state().used[current_device];
  return cudaSuccess;
}
