// Gradients to the ranks that own them, and updated values back. The flat block of parameters is
// cut into buckets of neighbouring parameters; each bucket leaves (reduce-scatter) while backward
// still runs, as soon as its gradients are complete, always last bucket first, so that all ranks
// make the same calls in the same order. Every rank owns one piece of every bucket. What look-ups
// add to a gradient goes to the owners as rows, apart.
#pragma once

#include <cstdint>
#include <vector>

#include "collective/communicator.h"
#include "models/nn/tape.h"
#include "trainer/row_exchange.h"

namespace seqrank {

struct ExchangeOptions {
  std::int64_t bucket_bytes = 1;  // a bucket is closed once it is as large
  Overlap overlap = Overlap::yes;
};

class GradientExchange {
 public:
  struct Bucket {
    std::int64_t begin, end;  // of the flat block
    Communicator::Range own;  // this rank's piece, in the flat block
    int parameters;           // that lie in it and have a dense gradient
    int pending;              // of those, not complete yet
    Tensor gradient, value;   // views of the flat blocks
  };

  // `store` must be allocated, with as many row_pieces as ranks, and outlive this. A parameter
  // larger than bucket_bytes is a bucket of its own, as is what is read by rows.
  GradientExchange(Context& ctx, ParameterStore& store, Communicator& comm,
                   const ExchangeOptions& options);
  GradientExchange(const GradientExchange&) = delete;
  GradientExchange& operator=(const GradientExchange&) = delete;

  // Zeroes all gradients; none is complete.
  void begin();
  // For the tape of the step: complete(), and rows fetched from their owners.
  TapeHooks hooks();
  // Backward is done with p, but for rows. Sends its bucket when it and all buckets behind it are
  // complete.
  void complete(const Parameter& p);
  // Sends what is left, waits, and adds what came as rows: this rank's pieces are then the sums
  // over ranks, on the compute stream.
  void finish();
  // Every rank's updated pieces of the values, to all ranks; the compute stream waits.
  void gather_values();

  const std::vector<Bucket>& buckets() const { return buckets_; }
  int sent() const {
    return static_cast<int>(buckets_.size()) - 1 - next_;
  }  // buckets, since begin

 private:
  void send_ready();

  Context& ctx_;
  ParameterStore& store_;
  Communicator& comm_;
  Overlap overlap_;
  RowExchange rows_;
  std::vector<Bucket> buckets_;
  std::vector<int> bucket_of_;  // by parameter index
  int next_ = -1;               // the bucket that leaves next; counts down
};

}  // namespace seqrank
