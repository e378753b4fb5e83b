// The exact softmax cross-entropy piece by piece, for catalogues that are too large to be scored at
// once or lie on several devices: tiles of logits are met one after the other, first for each row's
// largest logit, sum and target, then, computed once more, for their gradients. Whoever calls makes
// the logits; no more of them need to be there than a tile. Catalogues that are whole and small:
// ops/softmax_cross_entropy.h, which computes logits once.
#pragma once

#include "backend/context.h"

namespace seqrank {

// Column t of a tile is item first + t * step.
struct TileItems {
  std::int64_t first = 0, step = 1;
};

// What a row of state_N4 (f64) says of the logits met so far; zeros: of none.
enum SoftmaxState { kLargest, kSum, kTotal, kTarget, kStateColumns };  // kSum: of e^(x - largest)

// state_N4 is updated; logit_NT is left undefined. target_N: i32 items; one that lies in no tile
// (as -1 does) has no logit.
void add_to_softmax(Context& ctx, Tensor& state_N4, Tensor& logit_NT, const Tensor& target_N,
                    const TileItems& items);

// state_N4 is written: what state_RN4 says in R parts, each of other items.
void join_softmax(Context& ctx, Tensor& state_N4, const Tensor& state_RN4);

struct SoftmaxTarget {
  std::int64_t items = 0;    // V, in all tiles
  float smoothing = 0;       // see ops/softmax_cross_entropy.h
  float scale = 1;           // of loss and gradients
  Tensor loss_scale_1 = {};  // of gradients alone; may be absent
};

// loss_1 (f64) is added to, from the state after all tiles.
void add_softmax_loss(Context& ctx, Tensor& loss_1, const Tensor& state_N4,
                      const SoftmaxTarget& wanted);

// logit_NT becomes its own gradient, zero in rows whose target is negative. state_N4: after all
// tiles.
void softmax_gradient(Context& ctx, Tensor& logit_NT, const Tensor& state_N4,
                      const Tensor& target_N, const TileItems& items, const SoftmaxTarget& wanted);

}  // namespace seqrank
