// What a file with kernels includes; this is the version for the host compiler
// (backend/cuda/native/device_code.h is nvcc's). It gives the kernel text its CUDA words, each
// acting on the fiber that runs it. A missing word is a compile error: add it to words.h or
// words_math.h, with the same meaning.
#pragma once

#include <cuda_runtime_api.h>
// After the runtime, whose header must see CUDA's own markers.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <vector_functions.h>  // make_float4, ...

#include <cmath>
#include <cstdint>

#include "tests/support/emulated/ptx.h"
#include "tests/support/emulated/words.h"
#include "tests/support/emulated/words_math.h"

#undef __global__
#undef __device__
#undef __host__
#undef __constant__
#undef __shared__
#undef __launch_bounds__
#undef __forceinline__
#define __global__
#define __device__
#define __host__
#define __constant__
#define __shared__ static_assert(false, "declare shared memory through SHARED_ARRAY")
#define __launch_bounds__(...)
#define __forceinline__ inline  // forced, it would only cost compile time

#define threadIdx (::seqrank::simt::thread->index)
#define blockIdx (::seqrank::simt::block->index)
#define blockDim (::seqrank::simt::block->dim)
#define gridDim (::seqrank::simt::block->grid_dim)

#define SHARED_ARRAY(T, name, count)     \
  static constexpr char name##_key_ = 0; \
  auto& name =                           \
      *static_cast<T(*)[count]>(::seqrank::simt::shared_memory(&name##_key_, sizeof(T[count])))
#define DYNAMIC_SHARED(T, name) T* name = static_cast<T*>(::seqrank::simt::dynamic_shared_memory())

namespace seqrank::cuda {

inline void copy_async_16(void* shared, const void* global,
                          simt::Place place = simt::Place::current()) {
  simt::copy_async_16(shared, global, place);
}
inline void copy_commit() {
  simt::copy_commit();
}
template <int groups>
void copy_wait() {
  simt::copy_wait(groups);
}

inline void load_matrix_x4(std::uint32_t (&r)[4], const void* shared,
                           simt::Place place = simt::Place::current()) {
  simt::load_matrix_x4(r, shared, false, place);
}
inline void load_matrix_x4_transposed(std::uint32_t (&r)[4], const void* shared,
                                      simt::Place place = simt::Place::current()) {
  simt::load_matrix_x4(r, shared, true, place);
}

inline float exp2_fast(float x) {
  return std::exp2(x);
}

inline void mma_16816(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2],
                      __nv_bfloat16, simt::Place place = simt::Place::current()) {
  simt::mma_16816(d, a, b, simt::Float16::bf16, place);
}
inline void mma_16816(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2],
                      __half, simt::Place place = simt::Place::current()) {
  simt::mma_16816(d, a, b, simt::Float16::f16, place);
}

}  // namespace seqrank::cuda
