// Makes a device ready: thread count, and a check that this processor runs what was compiled.
#include "backend/context.h"

#include <omp.h>
#include <sched.h>

namespace seqrank {
namespace {

void check_processor() {
  const char* missing = nullptr;
#ifdef __AVX512F__
  if (!__builtin_cpu_supports("avx512f")) missing = "AVX-512";
#endif
#ifdef __AVX2__
  if (!__builtin_cpu_supports("avx2")) missing = "AVX2";
#endif
  SR_CHECK(missing == nullptr, ErrorKind::device,
           "this processor lacks {}, which the program was compiled for; configure with "
           "-DSEQRANK_MARCH=x86-64-v3 (or x86-64) and build again",
           missing);
}

}  // namespace

int affinity_threads() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
  return CPU_COUNT(&set);
}

Context::Context(Device device, int threads, std::size_t memory_limit, int ordinal)
    : device_(device), threads_(threads > 0 ? threads : affinity_threads()), ordinal_(ordinal) {
  check_processor();
  omp_set_num_threads(threads_);  // also what oneDNN uses on this thread
  if (device == Device::cuda) {
    take(make_cuda_parts(ordinal), memory_limit);
    return;
  }
  compute_ = upload_ = make_inline_stream();
  arena_ = host_arena_ = std::make_shared<Arena>(memory_limit);
}

Context::Context(Planned planned, int threads)
    : device_(planned.device),
      plans_(true),
      threads_(threads > 0 ? threads : affinity_threads()),
      ordinal_(0) {
  if (device_ == Device::cuda) {
    take(make_planned_cuda_parts(), 0);
    return;
  }
  compute_ = upload_ = make_planned_stream();
  arena_ = host_arena_ = std::make_shared<Arena>(make_planned_memory(), 0);
}

void Context::take(DeviceParts parts, std::size_t memory_limit) {
  compute_ = parts.compute;
  upload_ = parts.upload;
  arena_ = std::make_shared<Arena>(std::move(parts.memory), memory_limit);
  host_arena_ = std::make_shared<Arena>(std::move(parts.pinned), 0);
  handles_ = parts.handles;
}

Context::~Context() {
  if (device_ == Device::cuda) compute_->synchronize();  // nothing may outlive what it works on
}

}  // namespace seqrank
