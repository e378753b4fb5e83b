// DIN's activation unit against its definition over all pairs, in doubles.
#include "backend/ops/din_attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "tests/backend/ops/packing.h"
#include "tests/support/op_case.h"

namespace seqrank {
namespace {

using Row = std::vector<double>;

struct Reference {
  Activation act;
  Packing packing;
  std::int64_t keys, width;

  double value(double x) const { return act == Activation::tanh ? std::tanh(x) : std::max(x, 0.0); }
  double slope(double y) const { return act == Activation::tanh ? 1 - y * y : y > 0; }
  // act(k_j + q + P (h_j x)) of event j and row n of x and q.
  Row inner(Values& v, std::int64_t j, std::int64_t n) const {
    Row y(keys);
    for (std::int64_t a = 0; a < keys; ++a) {
      y[a] = v["k"][j * keys + a] + v["q"][n * keys + a];
      for (std::int64_t d = 0; d < width; ++d)
        y[a] += v["p"][a * width + d] * v["h"][j * width + d] * v["x"][n * width + d];
      y[a] = value(y[a]);
    }
    return y;
  }
  double weight(Values& v, const Row& y) const {
    double sum = v["b"][0];
    for (std::int64_t a = 0; a < keys; ++a) sum += v["w"][a] * y[a];
    return sum;
  }
  // f(n, j) for every event n and each of its past, itself included.
  void each_pair(const std::function<void(std::int64_t, std::int64_t)>& f) const {
    for (std::int64_t b = 0; b < packing.sequences(); ++b)
      for (std::int64_t t = 0; t < packing.lengths[b]; ++t)
        for (std::int64_t j = 0; j <= t; ++j)
          f(static_cast<std::int64_t>(packing.offset[b]) + t,
            static_cast<std::int64_t>(packing.offset[b]) + j);
  }
};

void backward_pair(const Reference& r, Values& v, std::int64_t n, std::int64_t j) {
  const Row y = r.inner(v, j, n);
  const double s = r.weight(v, y);
  double ds = 0;
  for (std::int64_t d = 0; d < r.width; ++d) {
    ds += v["dz"][n * r.width + d] * v["h"][j * r.width + d];
    v["dh"][j * r.width + d] += s * v["dz"][n * r.width + d];
  }
  v["db"][0] += ds;
  for (std::int64_t a = 0; a < r.keys; ++a) {
    v["dw"][a] += ds * y[a];
    const double in = ds * v["w"][a] * r.slope(y[a]);
    v["dk"][j * r.keys + a] += in;
    v["dq"][n * r.keys + a] += in;
    for (std::int64_t d = 0; d < r.width; ++d) {
      const double h = v["h"][j * r.width + d], x = v["x"][n * r.width + d];
      v["dp"][a * r.width + d] += in * h * x;
      v["dh"][j * r.width + d] += in * v["p"][a * r.width + d] * x;
      v["dx"][n * r.width + d] += in * v["p"][a * r.width + d] * h;
    }
  }
}

// Under relu k + q is at least 1/8 from zero, and P (h x) smaller: no argument crosses the kink.
void add_inputs(OpCase& c, const Reference& r) {
  const std::int64_t events = r.packing.events();
  Row k(events * r.keys), q(events * r.keys);
  for (std::size_t i = 0; i < k.size(); ++i)
    k[i] = static_cast<double>((i * 37 + 3) % 13) / 4 - 1.5;
  for (std::size_t i = 0; i < q.size(); ++i)
    q[i] = static_cast<double>((i * 29 + 8) % 11) / 4 - 1.125;
  const double small = 0.1 / static_cast<double>(r.width);
  c.input("h", {events, r.width}).input("x", {events, r.width});
  c.input_values("k", {events, r.keys}, k).input_values("q", {events, r.keys}, q);
  c.input("p", {r.keys, r.width}, -small, small).input("w", {r.keys}).input("b", {1});
  c.constant_values("offset", {r.packing.sequences() + 1}, DType::i32, r.packing.offset);
}

void check(Device device, const Reference& r) {
  const std::int64_t events = r.packing.events();
  const DinAttention options{r.act, static_cast<std::int64_t>(r.packing.sequences_at.size())};
  OpCase c(fmt::format("{} B={} N={} A={} D={}", r.act == Activation::tanh ? "tanh" : "relu",
                       r.packing.sequences(), events, r.keys, r.width),
           device);
  add_inputs(c, r);
  c.added("dp").added("dw").added("db").output("z", {events, r.width});
  c.reference([=](Values& v) {
    r.each_pair([&](std::int64_t n, std::int64_t j) {
      const double s = r.weight(v, r.inner(v, j, n));
      for (std::int64_t d = 0; d < r.width; ++d)
        v["z"][n * r.width + d] += s * v["h"][j * r.width + d];
    });
  });
  c.reference_backward([=](Values& v) {
    r.each_pair([&](std::int64_t n, std::int64_t j) { backward_pair(r, v, n, j); });
  });
  c.run("both", [options](Context& ctx, Tensors& t) {
    din_attention(ctx, options, t["z"], t["h"], t["x"], t["k"], t["q"], t["p"], t["w"], t["b"],
                  t["offset"]);
    din_attention_backward(ctx, options,
                           {t["dh"], t["dx"], t["dk"], t["dq"], t["dp"], t["dw"], t["db"]}, t["dz"],
                           t["h"], t["x"], t["k"], t["q"], t["p"], t["w"], t["b"], t["offset"]);
  });
  c.check();
}

SEQRANK_OP_TEST(DinAttention, MatchesReference) {
  for (Activation act : {Activation::tanh, Activation::relu})
    for (const Packing& packing : packings()) check(device, {act, packing, 3, 4});
}

SEQRANK_OP_TEST(DinAttention, LengthsAndWidths) {
  for (Activation act : {Activation::tanh, Activation::relu}) {
    for (auto [keys, width] : {std::pair{1, 1}, {2, 3}})
      check(device, {act, Packing({2, 35}), keys, width});
    for (auto [keys, width] : {std::pair{2, 33}, {33, 2}})
      check(device, {act, Packing({1, 5}), keys, width});
  }
}

void check_candidates(Device device, const Reference& r, std::int64_t candidates) {
  const std::int64_t rows = r.packing.sequences() * candidates;
  const DinAttention options{r.act, static_cast<std::int64_t>(r.packing.sequences_at.size())};
  OpCase c(fmt::format("B={} N={} C={}", r.packing.sequences(), r.packing.events(), candidates),
           device);
  const std::int64_t events = r.packing.events();
  c.constant("h", {events, r.width}).constant("x", {candidates, r.width});
  c.constant("k", {events, r.keys}).constant("q", {candidates, r.keys});
  c.constant("p", {r.keys, r.width}).constant("w", {r.keys}).constant("b", {1});
  c.constant_values("offset", {r.packing.sequences() + 1}, DType::i32, r.packing.offset);
  c.output("z", {rows, r.width});
  c.reference([=](Values& v) {
    for (std::int64_t m = 0; m < rows; ++m) {
      const std::int64_t b = m / candidates;
      for (std::int64_t i = 0; i < r.packing.lengths[b]; ++i) {
        const auto j = static_cast<std::int64_t>(r.packing.offset[b]) + i;
        const double s = r.weight(v, r.inner(v, j, m % candidates));
        for (std::int64_t d = 0; d < r.width; ++d)
          v["z"][m * r.width + d] += s * v["h"][j * r.width + d];
      }
    }
  });
  c.run("forward", [options](Context& ctx, Tensors& t) {
    din_candidates(ctx, options, t["z"], t["h"], t["x"], t["k"], t["q"], t["p"], t["w"], t["b"],
                   t["offset"]);
  });
  c.check();
}

SEQRANK_OP_TEST(DinAttention, CandidatesMatchReference) {
  for (const Packing& packing : packings())
    check_candidates(device, {Activation::relu, packing, 3, 4}, 5);
  check_candidates(device, {Activation::tanh, Packing({35, 0, 3}), 6, 5}, 9);
}

}  // namespace
}  // namespace seqrank
