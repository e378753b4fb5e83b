// Draws from a given distribution in constant time (Walker 1977, built as Vose 1991): n columns of
// equal chance, each shared by at most two values. 8 bytes a value.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace seqrank {

class AliasTable {
 public:
  AliasTable() = default;
  // Weights: not negative, not all zero.
  explicit AliasTable(std::span<const double> weights);
  // column: uniform in [0, n); coin: uniform in [0, 1).
  std::int32_t draw(std::int64_t column, double coin) const {
    return coin < own_share_[column] ? static_cast<std::int32_t>(column) : other_[column];
  }
  std::int64_t size() const { return static_cast<std::int64_t>(own_share_.size()); }

 private:
  std::vector<float> own_share_;  // of a column, its own value's
  std::vector<std::int32_t> other_;
};

}  // namespace seqrank
