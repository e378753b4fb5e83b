// The packed product against plain sums in doubles, at every number of rows and odd widths.
#include "backend/cpu/skinny_product.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/tensor_values.h"

namespace seqrank {
namespace {

std::vector<double> wave(std::int64_t n, double phase) {
  std::vector<double> values(n);
  for (std::int64_t i = 0; i < n; ++i) values[i] = static_cast<float>(std::sin(phase + 0.9 * i));
  return values;
}

void check_product(std::int64_t rows, std::int64_t depth, std::int64_t columns,
                   cpu::PackedMatrix::Layout layout) {
  Context ctx(Device::cpu, 1);
  const bool as_is = layout == cpu::PackedMatrix::Layout::as_is;
  const std::vector<double> b = wave(depth * columns, 1), a = wave(rows * depth, 2);
  Tensor w = ctx.empty(DType::f32, as_is ? Shape{depth, columns} : Shape{columns, depth});
  set_values(w, b);
  Tensor a_MK = ctx.empty(DType::f32, {rows, depth});
  set_values(a_MK, a);
  const cpu::PackedMatrix packed(ctx, w, layout);
  ASSERT_EQ(packed.depth(), depth);
  ASSERT_GE(packed.stride(), columns);
  Tensor c = ctx.empty(DType::f32, {rows, packed.stride()});
  packed.multiply(c.data<float>(), a_MK.data<float>(), rows);
  const std::vector<double> got = get_values(c);
  for (std::int64_t m = 0; m < rows; ++m) {
    for (std::int64_t n = 0; n < packed.stride(); ++n) {
      double sum = 0;
      for (std::int64_t k = 0; n < columns && k < depth; ++k) {
        sum += a[m * depth + k] * (as_is ? b[k * columns + n] : b[n * depth + k]);
      }
      ASSERT_NEAR(got[m * packed.stride() + n], sum, 1e-5) << m << ", " << n;
    }
  }
}

TEST(SkinnyProduct, AllRowCounts) {
  for (std::int64_t rows = 0; rows <= 14; ++rows) {
    check_product(rows, 5, 20, cpu::PackedMatrix::Layout::transposed);
  }
}

TEST(SkinnyProduct, OddWidths) {
  for (std::int64_t columns : {1, 15, 16, 17, 31, 33, 48, 63, 64, 65, 130}) {
    check_product(7, 3, columns, cpu::PackedMatrix::Layout::as_is);
    check_product(7, 3, columns, cpu::PackedMatrix::Layout::transposed);
  }
}

}  // namespace
}  // namespace seqrank
