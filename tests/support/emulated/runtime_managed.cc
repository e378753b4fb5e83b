// The emulated device: managed memory. Its address is a device's, so that the host that touches it,
// which a GPU lets pass or not as it happens, faults at once; it goes there and back by copies.
// Where it lies is only counted.
#include <fmt/core.h>

#include "tests/support/emulated/state.h"

using namespace seqrank::emu;  // NOLINT: CUDA's functions are global

namespace {

// Of the allocation that holds all of the range; null and a violation where none does.
std::map<std::uintptr_t, Allocation>::iterator managed(const char* call, const void* p,
                                                       std::size_t bytes) {
  auto& all = state().allocations;
  const auto next = all.upper_bound(untagged(p));
  const auto a = next == all.begin() ? all.end() : std::prev(next);
  if (a != all.end() && !a->second.freed && a->second.kind == Allocation::Kind::managed &&
      untagged(p) + bytes <= a->first + a->second.bytes)
    return a;
  fail(cudaErrorInvalidValue, fmt::format("{}: not within managed memory", call));
  return all.end();
}

bool is_place(const cudaMemLocation& where) {
  return where.type == cudaMemLocationTypeHost ||
         (where.type == cudaMemLocationTypeDevice && where.id >= 0 && where.id < options().devices);
}

}  // namespace

cudaError_t cudaMallocManaged(void** result, std::size_t bytes, unsigned flags) {
  if (flags != cudaMemAttachGlobal || !options().managed_access) {
    return fail(cudaErrorInvalidValue, "cudaMallocManaged: of a device that can, global, alone");
  }
  cudaError_t error;
  {
    const Entry entry("cudaMallocManaged");
    error = allocate(result, bytes, Allocation::Kind::managed);
  }
  if (*result != nullptr) poison(untagged(*result), bytes);
  return error;
}

cudaError_t cudaMemAdvise(const void* p, std::size_t bytes, cudaMemoryAdvise advice,
                          cudaMemLocation where) {
  const Entry entry("cudaMemAdvise");
  const bool known =
      advice == cudaMemAdviseSetPreferredLocation ||
      (advice == cudaMemAdviseSetAccessedBy && where.type == cudaMemLocationTypeDevice);
  if (!known || !is_place(where)) {
    return fail(cudaErrorInvalidValue,
                "cudaMemAdvise: a preferred place, or a device that reads, alone");
  }
  if (managed("cudaMemAdvise", p, bytes) == state().allocations.end()) return last_error;
  return cudaSuccess;
}

cudaError_t cudaMemPrefetchAsync(const void* p, std::size_t bytes, cudaMemLocation where,
                                 unsigned flags, cudaStream_t stream) {
  const Entry entry("cudaMemPrefetchAsync");
  if (!usable(stream, "cudaMemPrefetchAsync")) return last_error;
  if (flags != 0 || !is_place(where)) {
    return fail(cudaErrorInvalidValue, "cudaMemPrefetchAsync: to a device or the host alone");
  }
  const auto found = managed("cudaMemPrefetchAsync", p, bytes);
  if (found == state().allocations.end()) return last_error;
  auto& [begin, a] = *found;
  const std::uintptr_t from = untagged(p);
  if (where.type == cudaMemLocationTypeHost) {
    if (from < begin + a.on_device) {
      return fail(cudaErrorInvalidValue, "cudaMemPrefetchAsync: nothing comes back to the host");
    }
    return cudaSuccess;
  }
  if (from != begin || a.on_device > 0 || where.id != a.device) {
    return fail(cudaErrorInvalidValue,
                "cudaMemPrefetchAsync: to its own device, once, and from the beginning, alone");
  }
  std::size_t& used = state().used[a.device];
  if (used + bytes > options().device_memory) return last_error = cudaErrorMemoryAllocation;
  used += bytes;
  a.on_device = bytes;
  return cudaSuccess;
}
