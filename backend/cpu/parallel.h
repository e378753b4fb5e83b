// Splits a range of independent elements over the threads of a context. Opens no parallel region
// for one thread or little work, so that ranks living as threads of one process stay plain code.
// Does not reduce: a sum over the range is the caller's, in an order of its own choosing.
#pragma once

#include <algorithm>
#include <cstdint>

#include "backend/context.h"

namespace seqrank::cpu {

// One compiled copy of the work, for one thread and for many: inlined twice, the two could round
// differently.
template <class F>
[[gnu::noipa]] void run_piece(F& f, std::int64_t begin, std::int64_t end) {
  f(begin, end);
}

// Calls f(begin, end) on pieces that cover [0, n) without overlap. `grain`: the least number of
// elements worth a thread. f must not throw. Which thread gets which piece depends on the number of
// threads: results must not.
template <class F>
void parallel_for(Context& ctx, std::int64_t n, std::int64_t grain, F&& f) {
  if (n <= 0) return;
  const std::int64_t worth = (n + grain - 1) / grain;
  const int threads = static_cast<int>(std::min<std::int64_t>(ctx.threads(), worth));
  if (threads <= 1) {
    run_piece(f, 0, n);
    return;
  }
#pragma omp parallel for num_threads(threads) schedule(static, 1)
  for (int t = 0; t < threads; ++t) run_piece(f, n * t / threads, n * (t + 1) / threads);
}

}  // namespace seqrank::cpu
