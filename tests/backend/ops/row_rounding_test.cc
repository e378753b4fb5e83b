// Rows of bf16: what the rounding of one value does, and that updates round each new value by the
// bits that are its own, whatever else is updated, and wherever.
#include "backend/row_rounding.h"

#include <bit>
#include <cmath>

#include "backend/bf16.h"
#include "backend/ops/row_optimiser.h"
#include "tests/support/op_case.h"

namespace seqrank {
namespace {

#ifdef __SANITIZE_THREAD__
constexpr int kMostThreads = 1;  // ThreadSanitizer cannot see OpenMP's own barriers
#else
constexpr int kMostThreads = 2;
#endif

std::uint32_t bits_of(float x) {
  return std::bit_cast<std::uint32_t>(x);
}
float rounded(float x, std::uint32_t random_16) {
  return from_bf16(round_at_random(bits_of(x), random_16));
}

Tensor tensor(Context& ctx, DType type, Shape shape, const std::vector<double>& values) {
  Tensor x = ctx.empty(type, shape);
  set_values(ctx, x, values);
  return x;
}

// Of all random numbers as many round up as the value is above the lower neighbour, of 65,536.
TEST(RowRounding, IsUnbiased) {
  for (const float x : {1.f, -1.f, 1.0000001f, 0.1f, -3.7e-5f, 2.9e30f, 1e-40f, -1e-45f}) {
    const std::uint32_t above = bits_of(x) & 0xffffu;
    const float lower = std::bit_cast<float>(bits_of(x) & 0xffff0000u);
    const float upper = std::bit_cast<float>((bits_of(x) & 0xffff0000u) + 0x10000u);
    std::uint32_t ups = 0;
    for (std::uint32_t random = 0; random < 1 << 16; ++random) {
      const float got = rounded(x, random);
      ASSERT_TRUE(got == lower || got == upper) << x << " " << got;
      ups += got == upper;
    }
    EXPECT_EQ(ups, above) << x;
  }
}

TEST(RowRounding, KeepsWhatIsNotFinite) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const std::uint32_t random : {0u, 1u, 0xffffu}) {
    EXPECT_EQ(rounded(kInfinity, random), kInfinity);
    EXPECT_EQ(rounded(-kInfinity, random), -kInfinity);
    for (const std::uint32_t nan : {0x7f800001u, 0x7fffffffu, 0xffffffffu, 0xff80ffffu})
      EXPECT_TRUE(std::isnan(rounded(std::bit_cast<float>(nan), random)));
  }
  EXPECT_EQ(rounded(3.4e38f, 0xffffu), kInfinity);
}

// As the header states it.
std::uint32_t random_of(const RowRounding& rounding, std::int64_t row_here, std::int64_t column) {
  const std::int64_t row = rounding.first_row + row_here * rounding.stride;
  const Philox4 bits = philox(
      rounding.seed, Purpose::rounding,
      {static_cast<std::uint32_t>(row), static_cast<std::uint32_t>(column / 64 * 8 + column % 8),
       rounding.table, rounding.step});
  const std::int64_t n = column % 64 / 8;
  return n % 2 == 0 ? bits[n / 2] & 0xffffu : bits[n / 2] >> 16;
}

// A gradient of one everywhere and a sum of zero: each element falls by the rate, which is exact in
// fp32 on any device.
SEQRANK_OP_TEST(RowRounding, HasTheSameBitsEverywhere) {
  const RowRounding rounding{.seed = 7, .step = 3, .table = 11, .first_row = 2, .stride = 3};
  const float rate = 0x1p-10f;
  for (const std::int64_t d : {1, 7, 8, 37, 64, 100, 200}) {
    for (int threads = 1; threads <= kMostThreads; ++threads) {
      Context ctx(device, threads);
      const std::int64_t rows = 300;
      std::vector<double> values, ids, ones(2 * rows / 3 * d, 1);
      for (std::int64_t i = 0; i < rows * d; ++i)
        values.push_back(rounded(static_cast<float>(std::sin(i)), 0));
      for (std::int64_t u = 0; u < 2 * rows / 3; ++u) ids.push_back(rows - 1 - u);
      Tensor w = tensor(ctx, DType::bf16, {rows, d}, values);
      Tensor sum = tensor(ctx, DType::f32, {rows}, std::vector<double>(rows, 0));
      const Tensor id = tensor(ctx, DType::i32, {std::ssize(ids)}, ids);
      const Tensor g = tensor(ctx, DType::f32, {std::ssize(ids), d}, ones);
      rowwise_adagrad(ctx, w, sum, id, g, tensor(ctx, DType::f32, {1}, {1}), {rate, 0, rounding});
      const auto got = get_values(ctx, w);
      for (std::int64_t row = 0; row < rows; ++row)
        for (std::int64_t j = 0; j < d; ++j) {
          const auto old = static_cast<float>(values[row * d + j]);
          const float want =
              row < rows / 3 ? old : rounded(old - rate, random_of(rounding, row, j));
          ASSERT_EQ(got[row * d + j], want) << "row " << row << " column " << j << " of " << d;
        }
    }
  }
}

struct Updated {
  std::vector<double> w, kept;
};
Updated updated(Device device, DType type, bool adam, std::int64_t d, std::uint32_t step) {
  Context ctx(device, 1);
  std::vector<double> values, gradients;
  for (std::int64_t i = 0; i < 4 * d; ++i) {
    values.push_back(rounded(static_cast<float>(std::sin(i)), 0));
    gradients.push_back(std::cos(3 * i));
  }
  const std::vector<double> zeros(4 * d, 0), four_zeros(4, 0);
  Tensor w = tensor(ctx, type, {4, d}, values), one_K = tensor(ctx, DType::f32, {4}, four_zeros);
  LazyMoments moments{tensor(ctx, DType::f32, {4, d}, zeros),
                      tensor(ctx, DType::f32, {4, d}, zeros), one_K};
  const Tensor id = tensor(ctx, DType::i32, {4}, {2, 0, 3, 1});
  const Tensor g = tensor(ctx, DType::f32, {4, d}, gradients);
  const Tensor scale = tensor(ctx, DType::f32, {1}, {0.5});
  const RowRate rate{0.01f, 0.125f, {.seed = 1, .step = step, .table = 2}};
  if (adam)
    lazy_adam(ctx, w, moments, id, g, scale, AdamW{}, rate);
  else
    rowwise_adagrad(ctx, w, one_K, id, g, scale, rate);
  return {get_values(ctx, w), get_values(ctx, adam ? moments.v_KD : one_K)};
}

// What it rounds is what fp32 rows would be, and what is kept of a row is not rounded at all.
SEQRANK_OP_TEST(RowRounding, RoundsWhatFp32WouldBe) {
  for (const bool adam : {false, true}) {
    for (const std::int64_t d : {5, 64, 130}) {
      const Updated want = updated(device, DType::f32, adam, d, 0);
      std::vector<double> mean(want.w.size(), 0);
      constexpr int kSteps = 400;
      for (std::uint32_t step = 0; step < kSteps; ++step) {
        const Updated got = updated(device, DType::bf16, adam, d, step);
        EXPECT_EQ(got.kept, want.kept);
        for (std::size_t i = 0; i < mean.size(); ++i) mean[i] += got.w[i] / kSteps;
      }
      for (std::size_t i = 0; i < mean.size(); ++i) {
        const std::uint32_t bits = bits_of(static_cast<float>(want.w[i])) & 0xffff0000u;
        const double lower = std::bit_cast<float>(bits);
        const double unit = std::bit_cast<float>(bits + 0x10000u) - lower;
        const double share = (want.w[i] - lower) / unit;
        const double error = std::sqrt(share * (1 - share) / kSteps);
        EXPECT_NEAR((mean[i] - lower) / unit, share, 5 * error + 1e-6) << i << " of " << d;
      }
    }
  }
}

// What it is for: steps of an eighth of what two neighbours are apart, which to nearest would never
// be made, add up.
SEQRANK_OP_TEST(RowRounding, MakesSmallStepsCount) {
  Context ctx(device, 1);
  constexpr std::int64_t kRows = 16, kWidth = 64, kSteps = 64;
  const float rate = 0x1p-11f;  // from 1 on down bf16 has steps of 2^-8
  EXPECT_EQ(to_bf16(1 - rate), to_bf16(1));
  std::vector<double> ids(kRows);
  for (std::int64_t row = 0; row < kRows; ++row) ids[row] = static_cast<double>(row);
  const std::vector<double> ones(kRows * kWidth, 1);
  Tensor w = tensor(ctx, DType::bf16, {kRows, kWidth}, ones);
  const Tensor id = tensor(ctx, DType::i32, {kRows}, ids);
  const Tensor g = tensor(ctx, DType::f32, {kRows, kWidth}, ones);
  const Tensor scale = tensor(ctx, DType::f32, {1}, {1});
  for (std::uint32_t step = 0; step < kSteps; ++step) {
    Tensor sum = tensor(ctx, DType::f32, {kRows}, std::vector<double>(kRows, 0));
    rowwise_adagrad(ctx, w, sum, id, g, scale, {rate, 0, {.seed = 1, .step = step}});
  }
  double fallen = 0;
  for (const double value : get_values(ctx, w)) fallen += (1 - value) / (kRows * kWidth);
  // An eighth of a step each time: its deviation is at most a third of a step a draw.
  const double error = 0x1p-8 / 3 * std::sqrt(1.0 * kSteps / (kRows * kWidth));
  EXPECT_NEAR(fallen, kSteps * rate, 4 * error);
}

// A row lies elsewhere where the table is dealt out to ranks, and is rounded alike.
SEQRANK_OP_TEST(RowRounding, KnowsRowsByTheirNumberInTheTable) {
  Context ctx(device, 1);
  const std::int64_t d = 40;
  const std::vector<double> ones(6 * d, 1);
  const Tensor scale = tensor(ctx, DType::f32, {1}, {1});
  const auto update = [&](std::int64_t rows, const std::vector<double>& ids, RowRounding where) {
    Tensor w = tensor(ctx, DType::bf16, {rows, d}, {ones.begin(), ones.begin() + rows * d});
    Tensor sum = tensor(ctx, DType::f32, {rows}, std::vector<double>(rows, 0));
    const std::int64_t n = std::ssize(ids);
    const Tensor g = tensor(ctx, DType::f32, {n, d}, {ones.begin(), ones.begin() + n * d});
    rowwise_adagrad(ctx, w, sum, tensor(ctx, DType::i32, {n}, ids), g, scale, {0x1p-10f, 0, where});
    return get_values(ctx, w);
  };
  const auto whole = update(6, {0, 1, 2, 3, 4, 5}, {.seed = 5, .step = 9});
  const auto dealt = update(3, {2, 0}, {.seed = 5, .step = 9, .first_row = 1, .stride = 2});
  for (std::int64_t j = 0; j < d; ++j) {
    EXPECT_EQ(dealt[j], whole[d + j]);
    EXPECT_EQ(dealt[d + j], 1);
    EXPECT_EQ(dealt[2 * d + j], whole[5 * d + j]);
  }
  EXPECT_NE(whole, update(6, {0, 1, 2, 3, 4, 5}, {.seed = 5, .step = 10}));
  EXPECT_NE(whole, update(6, {0, 1, 2, 3, 4, 5}, {.seed = 5, .step = 9, .table = 1}));
}

}  // namespace
}  // namespace seqrank
