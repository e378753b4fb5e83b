// Conversions there and back against rounding in double: ties, ends of the range, what is no
// number.
#include "backend/ops/cast.h"

#include <cmath>

#include "tests/support/op_case.h"

namespace seqrank {
namespace {

// The nearest number with `digits` binary digits, ties to even; numbers of at least `least`.
double rounded(double x, int digits) {
  if (x == 0 || !std::isfinite(x)) return x;
  const double unit = std::ldexp(1.0, std::ilogb(x) - digits + 1);
  return std::nearbyint(x / unit) * unit;  // the default mode: ties to even
}

std::vector<double> there_and_back(Device device, DType type, const std::vector<double>& values) {
  Context ctx(device, 1);
  const auto n = static_cast<std::int64_t>(values.size());
  Tensor x = ctx.empty(DType::f32, {n}), y = ctx.empty(type, {n}), z = ctx.empty(DType::f32, {n});
  set_values(x, values);
  cast(ctx, y, x);
  cast(ctx, z, y);
  ctx.compute().synchronize();
  return get_values(z);
}

SEQRANK_OP_TEST(Cast, RoundsToNearestEven) {
  std::vector<double> values = {0, 1, -1, 3.14159274, 1e-30, 1e30};
  for (int i = 0; i < 600; ++i)  // every tie between neighbours, and just beside it
    for (double beside : {-0x1p-20, 0.0, 0x1p-20})
      values.push_back((i % 2 ? -1 : 1) * (1 + i * 0x1p-9 + beside));
  const std::vector<double> got = there_and_back(device, DType::bf16, values);
  for (std::size_t i = 0; i < values.size(); ++i)
    EXPECT_EQ(got[i], rounded(static_cast<float>(values[i]), 8)) << values[i];
}

SEQRANK_OP_TEST(Cast, KeepsWhatIsNotFinite) {
  const std::vector<double> got =
      there_and_back(device, DType::bf16, {INFINITY, -INFINITY, NAN, -NAN, 3.4e38, -3.4e38});
  EXPECT_EQ(got[0], INFINITY);
  EXPECT_EQ(got[1], -INFINITY);
  EXPECT_TRUE(std::isnan(got[2]) && std::isnan(got[3]));
  EXPECT_EQ(got[4], INFINITY);  // the largest of bf16 is 3.39e38
  EXPECT_EQ(got[5], -INFINITY);
}

SEQRANK_OP_TEST(Cast, EmptyAndLong) {
  EXPECT_TRUE(there_and_back(device, DType::bf16, {}).empty());
  const std::vector<double> ones(100003, 1.0 / 3);
  EXPECT_EQ(there_and_back(device, DType::bf16, ones),
            std::vector<double>(100003, rounded(1.0f / 3, 8)));
}

}  // namespace
}  // namespace seqrank
