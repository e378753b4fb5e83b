// Gradients to the ranks that own them, and updated values back. The flat block of parameters is
// cut into buckets of neighbouring parameters; each bucket leaves (reduce-scatter) while backward
// still runs, as soon as its gradients are complete, always last bucket first, so that all ranks
// make the same calls in the same order. Every rank owns one piece of every bucket.
#pragma once

#include <cstdint>
#include <vector>

#include "collective/communicator.h"
#include "models/nn/parameter.h"

namespace seqrank {

// no: every exchange is waited for where it starts, which is what overlap is measured against. The
// same bits either way.
enum class Overlap { yes, no };

struct ExchangeOptions {
  std::int64_t bucket_bytes = 1;  // a bucket is closed once it is as large
  Overlap overlap = Overlap::yes;
};

class GradientExchange {
 public:
  struct Bucket {
    std::int64_t begin, end;  // of the flat block
    Communicator::Range own;  // this rank's piece, in the flat block
    int parameters;           // that lie in it
    int pending;              // of those, not complete yet
    Tensor gradient, value;   // views of the flat blocks
  };

  // `store` must be allocated and outlive this. A parameter larger than bucket_bytes is a bucket of
  // its own.
  GradientExchange(ParameterStore& store, Communicator& comm, const ExchangeOptions& options);

  // Zeroes all gradients; none is complete.
  void begin(Context& ctx);
  // Backward is done with p. Sends its bucket when it and all buckets behind it are complete.
  void complete(Context& ctx, const Parameter& p);
  // Sends what is left and makes the compute stream wait for the sums of this rank's pieces.
  void finish(Context& ctx);
  // Every rank's updated pieces of the values, to all ranks; the compute stream waits.
  void gather_values(Context& ctx);

  const std::vector<Bucket>& buckets() const { return buckets_; }
  int sent() const {
    return static_cast<int>(buckets_.size()) - 1 - next_;
  }  // buckets, since begin

 private:
  void send_ready(Context& ctx);

  ParameterStore& store_;
  Communicator& comm_;
  Overlap overlap_;
  std::vector<Bucket> buckets_;
  std::vector<int> bucket_of_;  // by parameter index
  int next_ = -1;               // the bucket that leaves next; counts down
};

}  // namespace seqrank
