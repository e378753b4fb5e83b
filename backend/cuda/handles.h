// Handles of vendor libraries that a Context keeps: made at first use, by the one file that knows
// the library (or by its twin on the emulated device).
#pragma once

#include <memory>

namespace seqrank::cuda {

struct Handles {
  std::shared_ptr<void> matmul;      // backend/cuda/gemm.h
  std::shared_ptr<void> recurrence;  // backend/cuda/rnn.h
};

}  // namespace seqrank::cuda
