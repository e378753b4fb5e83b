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
  set_values(ctx, x, values);
  cast(ctx, y, x);
  cast(ctx, z, y);
  return get_values(ctx, z);
}

struct Half {
  DType type;
  int digits;
  double above;  // the largest, and so much that it rounds to infinity
};
constexpr Half kHalves[] = {{DType::bf16, 8, 3.4e38}, {DType::f16, 11, 65520}};

SEQRANK_OP_TEST(Cast, RoundsToNearestEven) {
  for (const Half& half : kHalves) {
    std::vector<double> values = {0, 1, -1, 3.14159274, 1e-4, 5e4};
    for (int i = 0; i < 600; ++i)  // every tie between neighbours, and just beside it
      for (double beside : {-0x1p-20, 0.0, 0x1p-20})
        values.push_back((i % 2 ? -1 : 1) * (1 + std::ldexp(i, -half.digits - 1) + beside));
    const std::vector<double> got = there_and_back(device, half.type, values);
    for (std::size_t i = 0; i < values.size(); ++i)
      EXPECT_EQ(got[i], rounded(static_cast<float>(values[i]), half.digits)) << values[i];
  }
}

SEQRANK_OP_TEST(Cast, KeepsWhatIsNotFinite) {
  for (const Half& half : kHalves) {
    const std::vector<double> got = there_and_back(
        device, half.type, {INFINITY, -INFINITY, NAN, -NAN, half.above, -half.above});
    EXPECT_EQ(got[0], INFINITY);
    EXPECT_EQ(got[1], -INFINITY);
    EXPECT_TRUE(std::isnan(got[2]) && std::isnan(got[3]));
    EXPECT_EQ(got[4], INFINITY);
    EXPECT_EQ(got[5], -INFINITY);
  }
}

// Numbers with fewer digits, because they are below the smallest with all of them.
SEQRANK_OP_TEST(Cast, KeepsSmallNumbersOfF16) {
  EXPECT_EQ(there_and_back(device, DType::f16, {0x1p-24, 0x1p-25, 0x1.8p-25, 0x1.4p-23, -0x1p-20}),
            (std::vector<double>{0x1p-24, 0, 0x1p-24, 0x1p-23, -0x1p-20}));
}

SEQRANK_OP_TEST(Cast, EmptyAndLong) {
  for (const Half& half : kHalves) {
    EXPECT_TRUE(there_and_back(device, half.type, {}).empty());
    const std::vector<double> values(100003, 1.0 / 3);
    EXPECT_EQ(there_and_back(device, half.type, values),
              std::vector<double>(100003, rounded(1.0f / 3, half.digits)));
  }
}

}  // namespace
}  // namespace seqrank
