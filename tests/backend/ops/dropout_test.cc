// Dropout against the counters its header states, one number at a time.
#include "backend/ops/dropout.h"

#include <cmath>

#include "backend/philox.h"
#include "tests/support/op_case.h"

namespace seqrank {
namespace {

constexpr std::uint64_t kSeed = 0x123456789ABCDEFull;

// 0 or 1 / (1 - rate) for each element, straight from the header.
std::vector<double> mask(const DropoutKey& key, const std::vector<double>& place,
                         const std::vector<double>& offset, std::int64_t d) {
  std::vector<double> values;
  for (std::size_t b = 0; b + 1 < offset.size(); ++b) {
    const auto at = static_cast<std::uint64_t>(place[b]);
    for (double n = offset[b]; n < offset[b + 1]; ++n)
      for (std::int64_t column = 0; column < d; ++column) {
        const Philox4 words =
            philox(key.seed, Purpose::dropout,
                   {static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(at >> 32),
                    static_cast<std::uint32_t>(n - offset[b]),
                    key.layer << 24 | static_cast<std::uint32_t>(column / 4)});
        const bool kept = uniform_float(words[column % 4]) >= key.rate;
        values.push_back(kept ? 1 / (1 - double{key.rate}) : 0);
      }
  }
  return values;
}

void check_dropout(Device device, const DropoutKey& key, std::int64_t d,
                   const std::vector<double>& lengths) {
  std::vector<double> offset = {0}, place;
  for (double length : lengths) {
    place.push_back(5e9 + 7 * place.size());  // beyond 32 bits
    offset.push_back(offset.back() + length);
  }
  const auto n = static_cast<std::int64_t>(offset.back());
  const auto sequences = static_cast<std::int64_t>(lengths.size());
  const std::vector<double> factor = mask(key, place, offset, d);
  OpCase c(fmt::format("rate={} layer={} d={} n={}", key.rate, key.layer, d, n), device);
  c.input("x", {n, d}).output("y", {n, d});
  c.constant_values("place", {sequences}, DType::i64, place);
  c.constant_values("offset", {sequences + 1}, DType::i32, offset);
  c.reference([=](Values& v) {
    const auto& x = v["x"];
    auto& y = v["y"];
    for (std::int64_t i = 0; i < n * d; ++i) y[i] = factor[i] * x[i];
  });
  c.reference_backward([=](Values& v) {
    const auto& dy = v["dy"];
    auto& dx = v["dx"];
    for (std::int64_t i = 0; i < n * d; ++i) dx[i] = factor[i] * dy[i];
  });
  c.run("apart", [=](Context& ctx, Tensors& t) {
    dropout(ctx, t["y"], t["x"], key, t["place"], t["offset"]);
    dropout(ctx, t["dx"], t["dy"], key, t["place"], t["offset"]);
  });
  c.run("y is x", [=](Context& ctx, Tensors& t) {
    t["y"] = t["x"];
    dropout(ctx, t["y"], t["y"], key, t["place"], t["offset"]);
    t["dx"] = t["dy"];
    dropout(ctx, t["dx"], t["dx"], key, t["place"], t["offset"]);
  });
  c.check();
}

SEQRANK_OP_TEST(Dropout, MatchesTheCountersOfItsHeader) {
  const std::vector<std::vector<double>> lengths = {{},           {0},      {1}, {3, 0, 0, 5, 1},
                                                    {0, 0, 4, 0}, {200, 37}};
  for (const auto& each : lengths)
    for (std::int64_t d : {0, 1, 3, 4, 64, 70, 129})
      check_dropout(device, {kSeed, 3, 0.3f}, d, each);
  check_dropout(device, {kSeed, 0, 0.0f}, 33, {7, 5});
  check_dropout(device, {kSeed, 255, 0.9f}, 33, {7, 5});
}

SEQRANK_OP_TEST(Dropout, DropsTheShareAskedFor) {
  const std::int64_t n = 2000, d = 64;
  Context ctx(device, 1);
  Tensor x = ctx.empty(DType::f32, {n, d}), place = ctx.empty(DType::i64, {1});
  Tensor offset = ctx.empty(DType::i32, {2});
  set_values(ctx, x, std::vector<double>(n * d, 1.0));
  set_values(ctx, place, {12});
  set_values(ctx, offset, {0, static_cast<double>(n)});
  dropout(ctx, x, x, {kSeed, 1, 0.2f}, place, offset);
  std::int64_t dropped = 0;
  for (double value : get_values(ctx, x)) dropped += value == 0;
  // Five standard deviations of a fair draw.
  EXPECT_NEAR(static_cast<double>(dropped) / (n * d), 0.2, 5 * std::sqrt(0.2 * 0.8 / (n * d)));
}

}  // namespace
}  // namespace seqrank
