// What benchmarks of operators work on: sequences of one length or of lengths as recommenders meet
// them, packed, and values that are neither zero nor large. Times nothing.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "backend/context.h"
#include "backend/ops/recurrence.h"

namespace seqrank {

// Lengths whose sum is `events`, save that sequences of one length are all whole.
struct SampleLengths {
  std::string name;  // "fixed 200", "packed 200"
  std::int64_t longest = 0;
  std::vector<std::int32_t> length_B;
  std::int64_t events = 0;

  static SampleLengths fixed(std::int64_t longest, std::int64_t events);
  // Log-normal: median longest / 4, sigma 1, held within [2, longest] (the last: what is left);
  // seeded, the same everywhere.
  static SampleLengths packed(std::int64_t longest, std::int64_t events);

  // Of q k^T under a causal mask: how many pairs of events.
  double causal_pairs() const;
};
extern const char* const kPackedLengthsInWords;

// On the device, as operators take it.
struct SamplePacking {
  SamplePacking(Context& ctx, const SampleLengths& lengths);
  PackedOrder order() const { return {offset_B1, time_order_N, sequences_at_T}; }

  Tensor offset_B1, time_order_N;
  std::vector<std::int32_t> sequences_at_T;
};

// Tensors of seeded values in [-0.1, 0.1), in one block of a device, to be read only: those that
// are taken after restart() are again the first.
class SampleValues {
 public:
  SampleValues(Context& ctx, DType type, std::int64_t elements);
  void restart() { used_ = 0; }
  Tensor take(Shape shape);

 private:
  Tensor block_;
  std::int64_t used_ = 0;
};

// i32 in [0, below), seeded; in host memory.
Tensor sample_ids(Context& ctx, std::int64_t n, std::int64_t below);

}  // namespace seqrank
