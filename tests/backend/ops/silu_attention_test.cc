// Pointwise attention against its definition, written out over all pairs of events in doubles.
#include "backend/ops/silu_attention.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/backend/ops/packing.h"
#include "tests/support/op_case.h"

namespace seqrank {
namespace {

using Row = std::vector<double>;

struct Sizes {
  Packing packing;
  std::int64_t heads = 1, width = 8, distances = 0, times = 0;  // 0: no such bias
  std::string text() const {
    std::string lengths;
    for (std::int64_t length : packing.lengths) lengths += fmt::format(" {}", length);
    return fmt::format("H={} K={} R={} T={} lengths{}", heads, width, distances, times, lengths);
  }
};
constexpr float kNormaliser = 7;

// Query n = first + i and key first + j of head h.
struct Pair {
  const Sizes& sizes;
  Values& v;
  std::int64_t first, i, j, h;

  std::int64_t row(std::int64_t event) const {
    return ((first + event) * sizes.heads + h) * sizes.width;
  }
  std::int64_t position_at() const {
    return h * sizes.distances + std::min(i - j, sizes.distances - 1);
  }
  std::int64_t time_at() const {
    const double apart = std::fabs(v["time"][first + i] - v["time"][first + j]);
    const auto bucket = static_cast<std::int64_t>(std::floor(std::log2(1 + apart)));
    return h * sizes.times + std::min(bucket, sizes.times - 1);
  }
  double dot(const char* x, const char* y) const {
    const Row &of_i = v[x], &of_j = v[y];
    double sum = 0;
    for (std::int64_t d = 0; d < sizes.width; ++d) sum += of_i[row(i) + d] * of_j[row(j) + d];
    return sum;
  }
  double score() const {
    double s = dot("q", "k");
    if (sizes.distances > 0) s += v["position"][position_at()];
    if (sizes.times > 0) s += v["time_table"][time_at()];
    return s;
  }
  void forward() const {
    const double s = score(), weight = s / (1 + std::exp(-s)) / kNormaliser;
    Row& o = v["o"];
    const Row& value = v["v"];
    for (std::int64_t d = 0; d < sizes.width; ++d) o[row(i) + d] += weight * value[row(j) + d];
  }
  void backward() const {
    const double s = score(), gate = 1 / (1 + std::exp(-s)), weight = s * gate / kNormaliser;
    const double ds = dot("do", "v") * gate * (1 + s * (1 - gate)) / kNormaliser;
    Row &dq = v["dq"], &dk = v["dk"], &dv = v["dv"];
    const Row &q = v["q"], &k = v["k"], &dout = v["do"];
    for (std::int64_t d = 0; d < sizes.width; ++d) {
      dv[row(j) + d] += weight * dout[row(i) + d];
      dq[row(i) + d] += ds * k[row(j) + d];
      dk[row(j) + d] += ds * q[row(i) + d];
    }
    if (sizes.distances > 0) v["dposition"][position_at()] += ds;
    if (sizes.times > 0) v["dtime_table"][time_at()] += ds;
  }
};

template <class F>
void each_pair(const Sizes& sizes, Values& v, F f) {
  for (std::int64_t b = 0; b < sizes.packing.sequences(); ++b)
    for (std::int64_t i = 0; i < sizes.packing.lengths[b]; ++i)
      for (std::int64_t j = 0; j <= i; ++j)
        for (std::int64_t h = 0; h < sizes.heads; ++h)
          f(Pair{sizes, v, static_cast<std::int64_t>(sizes.packing.offset[b]), i, j, h});
}

// Seconds to months between events, both signs, sometimes none; once 2^33 seconds.
Row times(std::int64_t events) {
  Row values(events);
  for (std::int64_t n = 0; n < events; ++n)
    values[n] = 1.6e9 + (n % 5 == 1 ? values[n - 1] - 1.6e9
                                    : std::floor(std::exp2(22 * std::fabs(std::sin(1.7 * n)))));
  if (events > 2) values[2] += 8589934592.0;
  return values;
}

void check(Device device, const Sizes& sizes) {
  const std::int64_t n = sizes.packing.events(), h = sizes.heads, width = sizes.width;
  OpCase c(sizes.text(), device);
  c.input("q", {n, h, width}).input("k", {n, h, width}).input("v", {n, h, width});
  c.constant_values("offset", {sizes.packing.sequences() + 1}, DType::i32, sizes.packing.offset);
  c.constant_values("time", {n}, DType::i64, times(n));
  if (sizes.distances > 0) c.input("position", {h, sizes.distances}).added("dposition");
  if (sizes.times > 0) c.input("time_table", {h, sizes.times}).added("dtime_table");
  c.output("o", {n, h, width});
  c.reference([=](Values& v) { each_pair(sizes, v, [](const Pair& p) { p.forward(); }); });
  c.reference_backward(
      [=](Values& v) { each_pair(sizes, v, [](const Pair& p) { p.backward(); }); });
  std::int64_t longest = 0;
  for (std::int64_t length : sizes.packing.lengths) longest = std::max(longest, length);
  c.run("both", [=](Context& ctx, Tensors& t) {
    AttentionBias bias;
    Tensor no_position, no_time;
    if (sizes.distances > 0) bias.position_HR = t["position"];
    if (sizes.times > 0) bias.time_HT = t["time_table"], bias.time_N = t["time"];
    const SiluAttentionOptions options{kNormaliser, longest + 3};
    silu_attention(ctx, options, t["o"], t["q"], t["k"], t["v"], bias, t["offset"]);
    silu_attention_backward(ctx, options, t["dq"], t["dk"], t["dv"],
                            sizes.distances > 0 ? t["dposition"] : no_position,
                            sizes.times > 0 ? t["dtime_table"] : no_time, t["do"], t["q"], t["k"],
                            t["v"], bias, t["offset"]);
  });
  c.check();
}

SEQRANK_OP_TEST(SiluAttention, MatchesReference) {
  for (const Packing& packing : packings()) check(device, {packing, 2, 8});
}

SEQRANK_OP_TEST(SiluAttention, WidthsAndLengths) {
  for (std::int64_t width : {1, 5, 33, 64}) check(device, {Packing({3, 1, 18}), 1, width});
  for (const auto& lengths : std::vector<std::vector<std::int64_t>>{{31, 0, 33}, {63, 65}, {129}})
    check(device, {Packing(lengths), 1, 8});
}

// One, few and more buckets than there are distances.
SEQRANK_OP_TEST(SiluAttention, Bias) {
  for (auto [distances, times] : {std::pair{5, 0}, {0, 12}, {1, 1}, {63, 32}})
    check(device, {Packing({0, 1, 7, 14}), 2, 8, distances, times});
  check(device, {Packing({66}), 1, 8, 21, 20});
}

}  // namespace
}  // namespace seqrank
