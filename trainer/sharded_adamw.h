// AdamW whose moments are sharded over ranks: each rank holds and updates the pieces it owns.
#pragma once

#include <vector>

#include "backend/ops/optimiser.h"
#include "trainer/dealt_rows.h"
#include "trainer/gradient_exchange.h"
#include "trainer/training_state.h"

namespace seqrank {

// What a checkpoint holds of a parameter: its weights and, unless it is frozen, both moments.
std::vector<std::string> saved_tensors(const Parameter& parameter);

// Frozen parameters are not updated, have no moments, and add nothing to the norm. Tables that lie
// apart are not its business.
class ShardedAdamW {
 public:
  ShardedAdamW(Context& ctx, ParameterStore& store, const GradientExchange& exchange,
               const AdamW& options, float decay);

  // sum_1 (f64) += squared norm of this rank's pieces of the gradient.
  void add_squared_norm(Context& ctx, Tensor& sum_1);
  // Updates this rank's pieces of the values; scale_1: see clip_scale. updates >= 1 counts
  // this one; the training step counts those that scale_1 = 0 left out, too.
  void update(Context& ctx, const Tensor& scale_1, float rate, std::int64_t updates);

  // Weights and both moments of this rank, as saved_tensors() names them; views, not copies. Those
  // of split tables apart.
  std::vector<TensorPiece> pieces();
  std::vector<DealtRows> dealt_rows();

 private:
  // This rank's of a bucket.
  struct Piece {
    Tensor value, gradient, m, v;
    UpdateParts parts;  // one a parameter
  };
  // The part of one parameter that lies in a piece; views.
  struct Segment {
    const Parameter* parameter;
    std::int64_t begin, end;  // of the flattened parameter, or of what is here of a split one
    Tensor value, m, v;       // frozen: without moments
  };
  Piece make_piece(Context& ctx, ParameterStore& store, Communicator::Range own, float decay);
  std::vector<Piece> pieces_;
  std::vector<Segment> segments_;
  AdamW options_;
};

}  // namespace seqrank
