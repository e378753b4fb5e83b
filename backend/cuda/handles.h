// Handles of vendor libraries that a Context keeps: made at first use, by the one file that knows
// the library (or by its twin on the emulated device). And what people should know that these
// libraries decided.
#pragma once

#include <memory>
#include <string>
#include <vector>

namespace seqrank::cuda {

struct Handles {
  std::shared_ptr<void> matmul;      // backend/cuda/gemm.h
  std::shared_ptr<void> recurrence;  // backend/cuda/rnn.h
  std::vector<std::string> notes;    // see take_device_notes()
};

}  // namespace seqrank::cuda
