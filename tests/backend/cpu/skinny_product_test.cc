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

void check_product(Context& ctx, double tolerance, std::int64_t rows, std::int64_t depth,
                   std::int64_t columns, cpu::PackedMatrix::Layout layout) {
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
      ASSERT_NEAR(got[m * packed.stride() + n], sum, tolerance) << m << ", " << n;
    }
  }
}

void check_sizes(Context& ctx, double tolerance) {
  for (std::int64_t rows = 0; rows <= 14; ++rows)
    check_product(ctx, tolerance, rows, 5, 20, cpu::PackedMatrix::Layout::transposed);
  for (std::int64_t columns : {1, 15, 16, 17, 31, 33, 48, 63, 64, 65, 130})
    for (const auto layout :
         {cpu::PackedMatrix::Layout::as_is, cpu::PackedMatrix::Layout::transposed})
      check_product(ctx, tolerance, 7, 3, columns, layout);
}

TEST(SkinnyProduct, AllRowCountsAndOddWidths) {
  Context ctx(Device::cpu, 1);
  check_sizes(ctx, 1e-5);
}

// Two factors of at most one, each moved by 2^-9, a few of them.
TEST(SkinnyProduct, Bf16AllRowCountsAndOddWidths) {
  Context ctx(Device::cpu, 1);
  const std::string note = ctx.set_precision(Precision::bf16);
  if (!note.empty()) GTEST_SKIP() << note;
  check_sizes(ctx, 0x1p-6);
  for (std::int64_t depth : {1, 1023, 1024, 1025, 2050})  // rounded piece by piece
    check_product(ctx, 0.2, 7, depth, 17, cpu::PackedMatrix::Layout::as_is);
}

// With operands that are bf16 already nothing is rounded: as near as fp32.
TEST(SkinnyProduct, Bf16SumsAreFp32) {
  Context ctx(Device::cpu, 1);
  const std::string note = ctx.set_precision(Precision::bf16);
  if (!note.empty()) GTEST_SKIP() << note;
  constexpr std::int64_t kDepth = 2049;
  Tensor w = ctx.empty(DType::f32, {kDepth, 1}), a = ctx.empty(DType::f32, {1, kDepth});
  std::vector<double> values(kDepth);
  double sum = 0;
  for (std::int64_t k = 0; k < kDepth; ++k) {
    values[k] = (k % 100 + 1) / 128.0;
    sum += values[k] * values[k];
  }
  set_values(w, values);
  set_values(a, values);
  const cpu::PackedMatrix packed(ctx, w, cpu::PackedMatrix::Layout::as_is);
  Tensor c = ctx.empty(DType::f32, {1, packed.stride()});
  packed.multiply(c.data<float>(), a.data<float>(), 1);
  EXPECT_NEAR(get_values(c)[0] / sum, 1, 1e-5);
}

}  // namespace
}  // namespace seqrank
