// The linear layer and its gradients, with and without a bias, with and without dx.
#include "backend/ops/linear.h"

#include "tests/support/op_case.h"

namespace seqrank {
namespace {

constexpr std::int64_t kSizes[][3] = {{1, 1, 1}, {3, 5, 7}, {33, 17, 70}, {300, 20, 67},
                                      {0, 4, 3}, {5, 0, 3}, {5, 3, 0}};

void reference(Values& v, std::int64_t n, std::int64_t k, std::int64_t m) {
  const auto &x = v["x"], &w = v["w"], &b = v["b"];
  auto& y = v["y"];
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = 0; j < m; ++j) {
      y[i * m + j] = b[j];
      for (std::int64_t l = 0; l < k; ++l) y[i * m + j] += x[i * k + l] * w[j * k + l];
    }
}

void reference_backward(Values& v, std::int64_t n, std::int64_t k, std::int64_t m) {
  const auto &x = v["x"], &w = v["w"], &dy = v["dy"];
  auto &dx = v["dx"], &dw = v["dw"], &db = v["db"];
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = 0; j < m; ++j) {
      db[j] += dy[i * m + j];
      for (std::int64_t l = 0; l < k; ++l) {
        dx[i * k + l] += dy[i * m + j] * w[j * k + l];
        dw[j * k + l] += dy[i * m + j] * x[i * k + l];
      }
    }
}

SEQRANK_OP_TEST(Linear, MatchesReference) {
  for (const auto& size : kSizes) {
    const std::int64_t n = size[0], k = size[1], m = size[2];
    OpCase c(fmt::format("n={} k={} m={}", n, k, m), device);
    c.input("x", {n, k}).input("w", {m, k}).input("b", {m}).output("y", {n, m});
    c.added("dw").added("db");
    c.reference([=](Values& v) { reference(v, n, k, m); });
    c.reference_backward([=](Values& v) { reference_backward(v, n, k, m); });
    c.run("with bias", [](Context& ctx, Tensors& t) {
      linear(ctx, t["y"], t["x"], t["w"], t["b"]);
      linear_backward(ctx, t["dx"], t["dw"], t["db"], t["dy"], t["x"], t["w"]);
    });
    c.check();
  }
}

// Rounding an operand to 8 binary digits moves it by 2^-9 of itself at most; in sums of products of
// two such, errors add up like a random walk, and the largest of many values is compared.
SEQRANK_OP_TEST(Linear, InBf16) {
  constexpr std::int64_t kFew[][3] = {{1, 1, 1}, {33, 17, 70}, {0, 4, 3}, {5, 0, 3}, {5, 3, 0}};
  for (const auto& size : kFew) {
    const std::int64_t n = size[0], k = size[1], m = size[2];
    OpCase c(fmt::format("bf16 n={} k={} m={}", n, k, m), device);
    c.input("x", {n, k}).input("w", {m, k}).input("b", {m}).output("y", {n, m});
    c.added("dw").added("db").tolerance(0x1p-8);
    c.reference([=](Values& v) { reference(v, n, k, m); });
    c.reference_backward([=](Values& v) { reference_backward(v, n, k, m); });
    c.run("with bias", [](Context& ctx, Tensors& t) {
      const std::string note = ctx.set_precision(Precision::bf16);
      linear(ctx, t["y"], t["x"], t["w"], t["b"]);
      linear_backward(ctx, t["dx"], t["dw"], t["db"], t["dy"], t["x"], t["w"]);
    });
    c.check();
  }
}

// Both round an operand to 11 binary digits.
SEQRANK_OP_TEST(Linear, InTypesOfGpus) {
  if (device == Device::cpu) GTEST_SKIP() << "a CPU multiplies in neither fp16 nor tf32";
  for (Precision precision : {Precision::fp16, Precision::tf32}) {
    for (const auto& size : kSizes) {
      const std::int64_t n = size[0], k = size[1], m = size[2];
      OpCase c(fmt::format("{} n={} k={} m={}", precision_name(precision), n, k, m), device);
      c.input("x", {n, k}).input("w", {m, k}).input("b", {m}).output("y", {n, m});
      c.added("dw").added("db").tolerance(0x1p-11);
      c.reference([=](Values& v) { reference(v, n, k, m); });
      c.reference_backward([=](Values& v) { reference_backward(v, n, k, m); });
      c.run("with bias", [=](Context& ctx, Tensors& t) {
        EXPECT_EQ(ctx.set_precision(precision), "");
        linear(ctx, t["y"], t["x"], t["w"], t["b"]);
        linear_backward(ctx, t["dx"], t["dw"], t["db"], t["dy"], t["x"], t["w"]);
      });
      c.check();
    }
  }
}

SEQRANK_OP_TEST(Linear, WithoutBiasAndInputGradient) {
  const std::int64_t n = 9, k = 5, m = 4;
  OpCase c("no b, no dx", device);
  c.constant("x", {n, k}).input("w", {m, k}).output("y", {n, m}).added("dw");
  c.reference([=](Values& v) {
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t j = 0; j < m; ++j)
        for (std::int64_t l = 0; l < k; ++l)
          v["y"][i * m + j] += v["x"][i * k + l] * v["w"][j * k + l];
  });
  c.reference_backward([=](Values& v) {
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t j = 0; j < m; ++j)
        for (std::int64_t l = 0; l < k; ++l)
          v["dw"][j * k + l] += v["dy"][i * m + j] * v["x"][i * k + l];
  });
  c.run("absent operands", [](Context& ctx, Tensors& t) {
    linear(ctx, t["y"], t["x"], t["w"], none);
    linear_backward(ctx, none, t["dw"], none, t["dy"], t["x"], t["w"]);
  });
  c.check();
}

}  // namespace
}  // namespace seqrank
