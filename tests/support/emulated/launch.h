// Launches kernels; the version for the emulated device (backend/cuda/native/launch.h has the words
// and their meaning).
#pragma once

#include <cuda_runtime_api.h>

#include <string>
#include <tuple>
#include <type_traits>
#include <vector>

#include "backend/check.h"
#include "backend/cuda/access.h"
#include "backend/cuda/launch_limits.h"
#include "tests/support/emulated/runtime.h"
#include "tests/support/emulated/simt.h"

namespace seqrank::emu {

// What the kernel gets for a launch argument: memory becomes an address that the host can use.
template <class A>
A kernel_argument(A a) {
  static_assert(!std::is_pointer_v<A>, "pass device memory through in(), out() or update()");
  return a;
}
template <class T>
T* kernel_argument(cuda::Access<T> a) {
  return on_host(a);
}

template <class A>
void add_range(std::vector<Range>&, const A&) {}
template <class T>
void add_range(std::vector<Range>& ranges, const cuda::Access<T>& a) {
  ranges.push_back(range(a));
}

void check_shape(const std::string& kernel, const simt::Shape& shape);

}  // namespace seqrank::emu

namespace seqrank::cuda {

using LaunchShape = simt::Shape;

inline void cuda_check(cudaError_t error, const char* what) {
  SR_CHECK(error == cudaSuccess, ErrorKind::device, "{}: {}; try `seqrank doctor`", what,
           cudaGetErrorString(error));
}

template <auto kernel, class... Args>
void launch(const LaunchShape& shape, cudaStream_t stream, Args... args) {
  if (shape.grid.x == 0 || shape.grid.y == 0 || shape.grid.z == 0) return;
  static const std::string name = kernel_name(__PRETTY_FUNCTION__);
  emu::check_shape(name, shape);
  if (stream == nullptr) return;  // of a context that plans
  std::vector<emu::Range> ranges;
  (emu::add_range(ranges, args), ...);
  auto run = [shape, given = std::tuple(emu::kernel_argument(args)...)] {
    simt::run(shape, [&given] { std::apply(kernel, given); });
  };
  emu::enqueue(stream, name, std::move(ranges), std::move(run));
}

inline void name_stream(cudaStream_t stream, const char* name) {
  emu::name_stream(stream, name);
}
inline void host_touches(const void* begin, std::size_t bytes, Mode mode, const char* what) {
  emu::host_touches(begin, bytes, mode, what);
}
inline constexpr bool kHostIsWatched = true;

}  // namespace seqrank::cuda
