// Launches kernels; the version for nvcc. The emulated device of the tests has a header of the same
// name on its include path.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>

#include "backend/check.h"
#include "backend/cuda/access.h"
#include "backend/cuda/launch_limits.h"

namespace seqrank::cuda {

struct LaunchShape {
  dim3 grid, block;
  std::size_t dynamic_shared = 0;  // bytes
};

inline void cuda_check(cudaError_t error, const char* what) {
  SR_CHECK(error == cudaSuccess, ErrorKind::device, "{}: {}; try `seqrank doctor`", what,
           cudaGetErrorString(error));
}

template <class A>
A kernel_argument(A a) {
  static_assert(!std::is_pointer_v<A>, "pass device memory through in(), out() or update()");
  return a;
}
template <class T>
T* kernel_argument(Access<T> a) {
  return a.data;
}

// The kernel may have so much dynamic shared memory from here on.
inline void ask_for_shared_memory(const void* kernel, std::string_view function,
                                  std::size_t bytes) {
  const cudaError_t error = cudaFuncSetAttribute(
      kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes));
  if (error == cudaSuccess) return;
  cudaGetLastError();  // it is told here
  int device = 0, limit = 0;
  cudaFuncAttributes fixed{};
  cuda_check(cudaGetDevice(&device), "cudaGetDevice");
  cuda_check(cudaDeviceGetAttribute(&limit, cudaDevAttrMaxSharedMemoryPerBlockOptin, device),
             "cudaDeviceGetAttribute");
  cuda_check(cudaFuncGetAttributes(&fixed, kernel), "cudaFuncGetAttributes");
  expect_shared_memory(kernel_name(function), fixed.sharedSizeBytes + bytes,
                       static_cast<std::size_t>(limit));
  cuda_check(error, "shared memory of a kernel");
}

#ifdef __CUDACC__
// launch<my_kernel>({grid, block}, stream, in<float>(x), out<float>(y), n). A grid of no blocks is
// no launch.
template <auto kernel, class... Args>
void launch(const LaunchShape& shape, cudaStream_t stream, Args... args) {
  if (shape.grid.x == 0 || shape.grid.y == 0 || shape.grid.z == 0) return;
  if (stream == nullptr) return;  // of a context that plans
  // 48 KiB, in which fixed arrays count too, may be had without asking.
  if (shape.dynamic_shared > (40 << 10))
    ask_for_shared_memory(reinterpret_cast<const void*>(kernel), __PRETTY_FUNCTION__,
                          shape.dynamic_shared);
  cudaLaunchConfig_t config{};
  config.gridDim = shape.grid;
  config.blockDim = shape.block;
  config.dynamicSmemBytes = shape.dynamic_shared;
  config.stream = stream;
  cuda_check(cudaLaunchKernelEx(&config, kernel, kernel_argument(args)...), "kernel launch");
}
#endif

// Hooks of the emulated device; nothing on a GPU.
inline void name_stream(cudaStream_t, const char*) {}
inline void host_touches(const void*, std::size_t, Mode, const char*) {}
inline constexpr bool kHostIsWatched = false;

}  // namespace seqrank::cuda
