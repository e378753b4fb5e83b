// Gradients of attention's biases, which workers write each to a part of its own: one order of
// summing at any number of threads. Knows nothing of what the columns mean.
#pragma once

#include "backend/tensor.h"

namespace seqrank::cpu {

// Adds to each head's row of dtable_HX the columns from `begin` on of its parts, in order; part has
// a row for each piece of work, of head piece % heads. Absent: nothing is wanted.
inline void add_parts(Tensor& dtable_HX, const Tensor& part, std::int64_t begin) {
  if (!dtable_HX) return;
  const std::int64_t heads = dtable_HX.dim(0), width = dtable_HX.dim(1), all = part.dim(1);
  for (std::int64_t piece = 0; piece < part.dim(0); ++piece) {
    const float* from = part.data<float>() + piece * all + begin;
    float* to = dtable_HX.data<float>() + piece % heads * width;
    for (std::int64_t r = 0; r < width; ++r) to[r] += from[r];
  }
}

}  // namespace seqrank::cpu
