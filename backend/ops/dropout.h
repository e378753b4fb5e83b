// Inverted dropout. The mask of an element depends on (seed; place of its sequence in the whole
// run, event position, layer, column) alone, by Philox: the same on every device and at any number
// of ranks, new in every epoch, and recomputed in backward rather than stored.
#pragma once

#include "backend/context.h"

namespace seqrank {

struct DropoutKey {
  std::uint64_t seed = 0;
  std::uint32_t layer = 0;  // which dropout of the model; < 256
  float rate = 0;           // in [0, 1)
};

// y_ND = mask x_ND / (1 - rate); written, y may be x. place_B (i64): epoch * sequences + place in
// the epoch's order; offset_B1 (i32): first event of each sequence. The counter of columns 4c..4c+3
// of event n of sequence b is {low place, high place, n - offset[b], layer << 24 | c}; word l of
// the result keeps column 4c + l when uniform_float(word) >= rate.
void dropout(Context& ctx, Tensor& y_ND, const Tensor& x_ND, const DropoutKey& key,
             const Tensor& place_B, const Tensor& offset_B1);
// The backward is the same function applied to the gradient.

}  // namespace seqrank
