// Hard attention against its definition in doubles: what is chosen, and the straight-through
// gradient, which is that of a function that has the chosen value and a softmax's slope.
#include "backend/ops/hard_attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "tests/backend/ops/packing.h"
#include "tests/support/op_case.h"

namespace seqrank {
namespace {

using Row = std::vector<double>;

// Never near zero, where relu has no derivative, and never two scores alike.
Row spread(std::int64_t n, double shift, int seed) {
  Row values(n);
  for (std::int64_t i = 0; i < n; ++i)
    values[i] = ((i * 37 + seed) % 13 - 6) / 4.0 + shift + 0.01 * std::sin(1.7 * i + seed);
  for (double& value : values) value = static_cast<float>(value);
  return values;
}

struct Inputs {
  Row k, q, w, v;
};

struct Reference {
  HardAttention options;
  Packing packing;
  std::int64_t keys, width;
  Row place;

  double value(double x) const {
    return options.act == Activation::tanh ? std::tanh(x) : std::max(x, 0.0);
  }
  double slope(double y) const { return options.act == Activation::tanh ? 1 - y * y : y > 0; }
  double temperature(std::int64_t b) const {
    return temperature_at(options, static_cast<std::int64_t>(place[b]));
  }
  // y of event `first + t` of sequence b.
  Row logits(const Inputs& in, std::int64_t b, std::int64_t first, std::int64_t t) const {
    Row y(t + 1);
    for (std::int64_t j = 0; j <= t; ++j) {
      for (std::int64_t a = 0; a < keys; ++a)
        y[j] += in.w[a] * value(in.k[(first + j) * keys + a] + in.q[(first + t) * keys + a]);
      if (!options.noise) continue;
      const auto words = gumbel_words(options, static_cast<std::int64_t>(place[b]), t, j / 4);
      y[j] += -std::log(-std::log(static_cast<double>(inner_uniform(words[j % 4]))));
      y[j] /= temperature(b);
    }
    return y;
  }
  template <class F>
  void each(F f) const {
    for (std::int64_t b = 0; b < packing.sequences(); ++b)
      for (std::int64_t t = 0; t < packing.lengths[b]; ++t)
        f(b, static_cast<std::int64_t>(packing.offset[b]), t);
  }
};

Row softmax(Row y) {
  const double max = *std::ranges::max_element(y);
  double sum = 0;
  for (double& x : y) sum += x = std::exp(x - max);
  for (double& x : y) x /= sum;
  return y;
}

Inputs inputs_of(Values& v) {
  return {v["k"], v["q"], v["w"], v["v"]};
}

// base: the inputs around which differences are taken. The function whose derivative straight
// through is: v of base's choice, plus what the weights differ from base's times base's v.
void forward(const Reference& r, const Inputs& base, Values& v) {
  const Inputs in = inputs_of(v);
  r.each([&](std::int64_t b, std::int64_t first, std::int64_t t) {
    const std::int64_t n = first + t;
    const Row y0 = r.logits(base, b, first, t), y = r.logits(in, b, first, t);
    const Row p0 = softmax(y0), p = softmax(y);
    const std::int64_t best = first + (std::ranges::max_element(y0) - y0.begin());
    v["choice"][n] = static_cast<double>(best);
    double sum = 0;
    for (double x : y) sum += std::exp(x);
    v["lse"][n] = std::log(sum);
    for (std::int64_t d = 0; d < r.width; ++d) {
      double& c = v["c"][n * r.width + d];
      c = in.v[best * r.width + d];
      for (std::int64_t j = 0; j <= t; ++j) {
        c += (p[j] - p0[j]) * base.v[(first + j) * r.width + d];
        v["soft"][n * r.width + d] += p[j] * in.v[(first + j) * r.width + d];
      }
    }
  });
}

void backward(const Reference& r, Values& v) {
  const Inputs in = inputs_of(v);
  r.each([&](std::int64_t b, std::int64_t first, std::int64_t t) {
    const std::int64_t n = first + t;
    const Row y = r.logits(in, b, first, t), p = softmax(y);
    const std::int64_t best = first + (std::ranges::max_element(y) - y.begin());
    Row dp(t + 1);
    double mean = 0;
    for (std::int64_t d = 0; d < r.width; ++d) {
      const double dc = v["dc"][n * r.width + d];
      v["dv"][best * r.width + d] += dc;
      for (std::int64_t j = 0; j <= t; ++j) dp[j] += dc * in.v[(first + j) * r.width + d];
    }
    for (std::int64_t j = 0; j <= t; ++j) mean += p[j] * dp[j];
    for (std::int64_t j = 0; j <= t; ++j) {
      const double dscore = p[j] * (dp[j] - mean) / r.temperature(b);
      for (std::int64_t a = 0; a < r.keys; ++a) {
        const double act = r.value(in.k[(first + j) * r.keys + a] + in.q[n * r.keys + a]);
        const double inner = dscore * in.w[a] * r.slope(act);
        v["dw"][a] += dscore * act;
        v["dk"][(first + j) * r.keys + a] += inner;
        v["dq"][n * r.keys + a] += inner;
      }
    }
  });
}

void check(Device device, HardAttention options, const Packing& packing, std::int64_t keys,
           std::int64_t width) {
  const std::int64_t events = packing.events(), sequences = packing.sequences();
  options.seed = 11;
  options.layer = 3;
  Row place(sequences);
  for (std::int64_t b = 0; b < sequences; ++b) place[b] = static_cast<double>(40 * b + 7);
  const Reference reference{options, packing, keys, width, place};
  const Inputs base{spread(events * keys, 0, 3), spread(events * keys, 0.125, 8),
                    spread(keys, 0.3, 5), spread(events * width, 0, 1)};
  OpCase c(fmt::format("{} {} B={} N={} A={} D={}", options.noise ? "noise" : "plain",
                       options.act == Activation::tanh ? "tanh" : "relu", sequences, events, keys,
                       width),
           device);
  c.input_values("k", {events, keys}, base.k).input_values("q", {events, keys}, base.q);
  c.input_values("w", {keys}, base.w).added("dw").input_values("v", {events, width}, base.v);
  c.constant_values("place", {sequences}, DType::i64, place);
  c.constant_values("offset", {sequences + 1}, DType::i32, packing.offset);
  c.output("c", {events, width}).side_output("choice", {events}, DType::i32);
  c.side_output("soft", {events, width}).side_output("lse", {events});
  c.reference([=](Values& v) { forward(reference, base, v); });
  c.reference_backward([=](Values& v) { backward(reference, v); });
  c.run("both", [options](Context& ctx, Tensors& t) {
    hard_attention(ctx, options, t["c"], t["choice"], t["soft"], t["lse"], t["k"], t["q"], t["w"],
                   t["v"], t["place"], t["offset"]);
    hard_attention_backward(ctx, options, t["dk"], t["dq"], t["dw"], t["dv"], t["dc"], t["choice"],
                            t["soft"], t["lse"], t["k"], t["q"], t["w"], t["v"], t["place"],
                            t["offset"]);
  });
  c.tolerance(5e-5);  // wide ones have scores up to 40, whose own rounding shows in the weights
  c.check();
}

SEQRANK_OP_TEST(HardAttention, MatchesReference) {
  for (Activation act : {Activation::tanh, Activation::relu})
    for (bool noise : {true, false}) {
      const HardAttention options{.act = act,
                                  .noise = noise,
                                  .first_temperature = 2,
                                  .last_temperature = 0.5,
                                  .places = 100};
      for (const Packing& packing : packings()) check(device, options, packing, 3, 4);
      check(device, options, Packing({2, 35}), 2, 3);
      check(device, options, Packing({5}), 3, 33);
    }
}

TEST(HardAttention, TheTemperatureFallsInALine) {
  HardAttention options{.first_temperature = 3, .last_temperature = 1, .places = 200};
  EXPECT_EQ(temperature_at(options, 0), 3);
  EXPECT_EQ(temperature_at(options, 50), 2.5);
  EXPECT_EQ(temperature_at(options, 200), 1);
  EXPECT_EQ(temperature_at(options, 1000), 1);
  options.noise = false;
  EXPECT_EQ(temperature_at(options, 0), 1);
}

// Over many places an event is chosen as often as its softmax weight says.
SEQRANK_OP_TEST(HardAttention, ChoosesAsOftenAsItsWeightSays) {
  constexpr std::int64_t kSamples = 4000, kEvents = 3;
  Context ctx(device, 1);
  const Row score = {0.5, -1, 1};
  Row k, place(kSamples), offset(kSamples + 1);
  for (std::int64_t b = 0; b < kSamples; ++b) k.insert(k.end(), score.begin(), score.end());
  std::iota(place.begin(), place.end(), 0);
  for (std::int64_t b = 0; b <= kSamples; ++b) offset[b] = static_cast<double>(kEvents * b);
  const std::int64_t n = kSamples * kEvents;
  const auto make = [&](DType type, Shape shape, const Row& values) {
    Tensor tensor = ctx.empty(type, shape);
    set_values(ctx, tensor, values);
    return tensor;
  };
  Row shifted = k;  // positive under relu; a softmax does not see the shift
  for (double& x : shifted) x += 2;
  Tensor c = ctx.empty(DType::f32, {n, 1}), soft = ctx.empty(DType::f32, {n, 1});
  Tensor lse = ctx.empty(DType::f32, {n});
  Tensor choice = ctx.empty(DType::i32, {n});
  hard_attention(ctx, {.act = Activation::relu, .seed = 5}, c, choice, soft, lse,
                 make(DType::f32, {n, 1}, shifted), make(DType::f32, {n, 1}, Row(n, 0.0)),
                 make(DType::f32, {1}, {1}), make(DType::f32, {n, 1}, k),
                 make(DType::i64, {kSamples}, place), make(DType::i32, {kSamples + 1}, offset));
  const Row chosen = get_values(ctx, choice), weight = softmax(score);
  Row share(kEvents);
  for (std::int64_t b = 0; b < kSamples; ++b)
    share[static_cast<std::int64_t>(chosen[kEvents * b + 2]) - kEvents * b] += 1.0 / kSamples;
  for (std::int64_t j = 0; j < kEvents; ++j)
    EXPECT_NEAR(share[j], weight[j], 4 * std::sqrt(weight[j] * (1 - weight[j]) / kSamples)) << j;
}

}  // namespace
}  // namespace seqrank
