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

Context::Context(Device device, int threads, std::size_t memory_limit)
    : device_(device),
      threads_(threads > 0 ? threads : affinity_threads()),
      arena_(memory_limit),
      compute_(make_inline_stream()) {
  SR_CHECK(device == Device::cpu, ErrorKind::device,
           "a CUDA device is wanted, but this program was built without CUDA");
  check_processor();
  omp_set_num_threads(threads_);  // also what oneDNN uses on this thread
}

}  // namespace seqrank
