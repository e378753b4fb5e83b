// What a context makes of each precision, and that bf16 products really round.
#include "backend/precision.h"

#include <gmock/gmock.h>

#include "backend/cpu/gemm.h"
#include "backend/ops/linear.h"
#include "tests/support/tensor_values.h"

namespace seqrank {
namespace {

using testing::HasSubstr;

TEST(Precision, NamesComeBack) {
  for (Precision p : {Precision::fp32, Precision::tf32, Precision::bf16, Precision::fp16})
    EXPECT_EQ(precision_from_name(precision_name(p)), p);
  EXPECT_EQ(precision_from_name("fp8"), std::nullopt);
}

TEST(Precision, OfACpu) {
  Context ctx(Device::cpu, 1);
  EXPECT_EQ(ctx.precision(), Precision::fp32);
  EXPECT_EQ(ctx.set_precision(Precision::fp32), "");
  EXPECT_THAT(ctx.set_precision(Precision::tf32), HasSubstr("tf32 is wanted"));
  EXPECT_EQ(ctx.precision(), Precision::fp32);
  try {
    (void)ctx.set_precision(Precision::fp16);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.exit_code(), 2);
  }
}

// Both sides are met: ctest runs this also with the library's instructions held back.
TEST(Precision, Bf16OfACpuIsSaidToBeMissingWhereItIs) {
  Context ctx(Device::cpu, 1);
  const std::string note = ctx.set_precision(Precision::bf16);
  if (cpu::has_bf16_products()) {
    EXPECT_EQ(note, "");
    EXPECT_EQ(ctx.precision(), Precision::bf16);
  } else {
    EXPECT_THAT(note, HasSubstr("has no bf16 products"));
    EXPECT_EQ(ctx.precision(), Precision::fp32);
  }
}

float product(Context& ctx, double x, double w) {
  Tensor x_11 = ctx.empty(DType::f32, {1, 1}), w_11 = ctx.empty(DType::f32, {1, 1});
  Tensor y_11 = ctx.empty(DType::f32, {1, 1});
  set_values(x_11, {x});
  set_values(w_11, {w});
  linear(ctx, y_11, x_11, w_11, Tensor());
  return static_cast<float>(get_values(y_11)[0]);
}

TEST(Precision, ProductsRoundTheirOperandsAndNotTheResult) {
  Context ctx(Device::cpu, 1);
  const double x = 1 + 0x1p-7, dust = 0x1p-12;
  EXPECT_EQ(product(ctx, x + dust, x), static_cast<float>((x + dust) * x));
  const std::string note = ctx.set_precision(Precision::bf16);
  if (!note.empty()) GTEST_SKIP() << note;
  EXPECT_EQ(product(ctx, x + dust, x), static_cast<float>(x * x));  // 15 digits: more than bf16 has
}

}  // namespace
}  // namespace seqrank
