// Rows are summed in blocks, and the blocks' sums then added, so that rounding errors grow with the
// number of rows in a block and of blocks, not with the number of rows.
#include "backend/cpu/column_sum.h"

#include <algorithm>
#include <array>

#include "backend/cpu/parallel.h"

namespace seqrank::cpu {
namespace {

constexpr std::int64_t kRows = 256;
constexpr std::int64_t kColumns = 64;  // summed at once: a few registers wide

void add_block(float* sum, const float* x, std::int64_t stride, std::int64_t rows,
               std::int64_t columns) {
  std::array<float, kColumns> block{};
  for (std::int64_t n = 0; n < rows; ++n) {
    for (std::int64_t m = 0; m < columns; ++m) block[m] += x[n * stride + m];
  }
  for (std::int64_t m = 0; m < columns; ++m) sum[m] += block[m];
}

}  // namespace

void add_column_sum(Context& ctx, Tensor& sum_M, const Tensor& x_NM) {
  const std::int64_t rows = x_NM.dim(0), columns = x_NM.dim(1);
  const float* x = x_NM.data<float>();
  float* sum = sum_M.data<float>();
  parallel_for(ctx, columns, kColumns, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = 0; row < rows; row += kRows) {
      for (std::int64_t m = begin; m < end; m += kColumns) {
        add_block(sum + m, x + row * columns + m, columns, std::min(kRows, rows - row),
                  std::min(kColumns, end - m));
      }
    }
  });
}

}  // namespace seqrank::cpu
