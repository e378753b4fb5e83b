// Draws from a given distribution in constant time (Walker 1977, built as Vose 1991): n columns of
// equal chance, each shared by at most two values. 8 bytes a value of an arena, and 4 more of the
// process while it is built, besides the weights.
#pragma once

#include <cstdint>
#include <vector>

#include "backend/tensor.h"

namespace seqrank {

class AliasTable {
 public:
  AliasTable() = default;
  // Weights: not negative, not all zero.
  AliasTable(Arena& arena, std::vector<double> weights);
  // column: uniform in [0, n); coin: uniform in [0, 1).
  std::int32_t draw(std::int64_t column, double coin) const {
    return coin < own_share_V_.data<float>()[column] ? static_cast<std::int32_t>(column)
                                                     : other_V_.data<std::int32_t>()[column];
  }
  std::int64_t size() const { return own_share_V_.numel(); }

 private:
  Tensor own_share_V_;  // f32: of a column, its own value's
  Tensor other_V_;      // i32
};

}  // namespace seqrank
