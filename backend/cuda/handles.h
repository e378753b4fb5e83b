// Handles of vendor libraries that a Context keeps: made at first use, by the one file that knows
// the library (or by its twin on the emulated device). And what people should know that these
// libraries decided.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <vector>

namespace seqrank {
enum class Cell;
}

namespace seqrank::cuda {

struct Handles {
  std::shared_ptr<void> matmul;      // backend/cuda/gemm.h
  std::shared_ptr<void> recurrence;  // backend/cuda/rnn.h
  std::vector<std::string> notes;    // see take_device_notes()
  // Layers that run on own kernels, of which a note has told: cell, inputs, width.
  std::set<std::tuple<Cell, std::int64_t, std::int64_t>> own_recurrences;
};

}  // namespace seqrank::cuda
