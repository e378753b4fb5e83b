// The emulated device: a CUDA runtime for tests on machines without a GPU.
//
// The real cuda_runtime_api.h is included everywhere; the runtime_*.cc define the functions that a
// backend calls, and are linked instead of libcudart. A call that is not there is a link error.
//   - Each stream is a thread with a queue, asynchronous to the host and to other streams.
//   - A device pointer is a host address with a tag bit, so that using one on the host faults at
//     once. Kernels and vendor twins get the address through on_host().
//   - Fresh and freed memory is filled with kPoison; freed memory stays in quarantine.
//   - Every operation is checked against what was declared before it (order_check.h).
// What a GPU may tolerate but does not promise is a violation here: it is printed and counted, and
// a program with a violation that no test has taken ends with kViolationExit.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "backend/cuda/access.h"

namespace seqrank::emu {

// Repeated, this is a NaN as float, bfloat16 and half, and an unlikely integer. As float and
// bfloat16 it is a signalling NaN: what arithmetic makes of it is a NaN, but not this one.
inline constexpr std::uint16_t kPoison = 0xffb1;

inline constexpr int kViolationExit = 67;

struct Range {
  const void* begin;  // device or pinned host pointer
  std::size_t count, element_bytes;
  cuda::Mode mode;
  std::size_t bytes() const { return count * element_bytes; }
};

template <class T>
Range range(const cuda::Access<T>& a) {
  return {a.data, a.count, sizeof(T), a.mode};
}

// Runs `work` when `stream` gets there; `ranges` says what it touches.
void enqueue(cudaStream_t stream, std::string what, std::vector<Range> ranges,
             std::function<void()> work);
// Says what the next host task on `stream` is called and touches.
void declare(cudaStream_t stream, const std::string& what, const std::vector<Range>& ranges);
// The calling host thread reads or writes pinned memory itself.
void host_touches(const void* begin, std::size_t bytes, cuda::Mode mode, const char* what);

void name_stream(cudaStream_t stream, const char* name);

void* host_address(const void* device_pointer, std::size_t bytes);
template <class T>
T* on_host(const cuda::Access<T>& a) {
  return static_cast<T*>(host_address(a.data, a.count * sizeof(T)));
}

void violation(const std::string& message);
std::size_t violations();
// Those so far, each message once; they count no longer.
std::vector<std::string> take_violations();

}  // namespace seqrank::emu
