// Element-wise functions, in place as well, and the copies of columns.
#include "backend/ops/activation.h"

#include <cmath>
#include <limits>

#include "tests/support/op_case.h"
#include "tests/support/tensor_values.h"

namespace seqrank {
namespace {

constexpr Activation kAll[] = {Activation::identity, Activation::tanh, Activation::relu,
                               Activation::sigmoid,  Activation::gelu, Activation::silu};

double gelu_inner(double x) {
  return std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x);
}

double apply(Activation f, double x) {
  switch (f) {
    case Activation::identity:
      return x;
    case Activation::tanh:
      return std::tanh(x);
    case Activation::relu:
      return x > 0 ? x : 0;
    case Activation::sigmoid:
      return 1 / (1 + std::exp(-x));
    case Activation::gelu:
      return x / 2 * (1 + std::tanh(gelu_inner(x)));
    case Activation::silu:
      return x / (1 + std::exp(-x));
  }
  return 0;
}

double derivative(Activation f, double x) {
  const double y = apply(f, x);
  switch (f) {
    case Activation::identity:
      return 1;
    case Activation::tanh:
      return 1 - y * y;
    case Activation::relu:
      return x > 0 ? 1 : 0;
    case Activation::sigmoid:
      return y * (1 - y);
    case Activation::gelu: {
      const double t = std::tanh(gelu_inner(x));
      return (1 + t) / 2 + x / 2 * (1 - t * t) * std::sqrt(2 / M_PI) * (1 + 3 * 0.044715 * x * x);
    }
    case Activation::silu: {
      const double s = 1 / (1 + std::exp(-x));
      return s + x * s * (1 - s);
    }
  }
  return 0;
}

// Inputs away from relu's corner, where differences say nothing.
std::vector<double> values_for(std::int64_t n) {
  std::vector<double> values(n);
  for (std::int64_t i = 0; i < n; ++i)
    values[i] = static_cast<float>((i % 2 ? 1 : -1) * (0.01 + 0.1 * (i % 71)));
  return values;
}

void check_activation(Device device, Activation f, std::int64_t n) {
  OpCase c(fmt::format("f={} n={}", int(f), n), device);
  c.input_values("x", {n}, values_for(n)).output("y", {n});
  c.reference([=](Values& v) {
    const auto& x = v["x"];
    auto& y = v["y"];
    for (std::int64_t i = 0; i < n; ++i) y[i] = apply(f, x[i]);
  });
  c.reference_backward([=](Values& v) {
    const auto &x = v["x"], &dy = v["dy"];
    auto& dx = v["dx"];
    for (std::int64_t i = 0; i < n; ++i) dx[i] = dy[i] * derivative(f, x[i]);
  });
  c.run("apart", [=](Context& ctx, Tensors& t) {
    activate(ctx, f, t["y"], t["x"]);
    activate_backward(ctx, f, t["dx"], t["dy"], t[backward_reads_argument(f) ? "x" : "y"]);
  });
  c.run("y is x, dx is dy", [=](Context& ctx, Tensors& t) {
    copy(ctx, t["y"], t["x"]);
    activate(ctx, f, t["y"], t["y"]);
    copy(ctx, t["dx"], t["dy"]);
    activate_backward(ctx, f, t["dx"], t["dx"], t[backward_reads_argument(f) ? "x" : "y"]);
  });
  c.check();
}

SEQRANK_OP_TEST(Activation, MatchesReference) {
  for (Activation f : kAll)
    for (std::int64_t n : {0, 1, 7, 33, 1000, 40001}) check_activation(device, f, n);
}

SEQRANK_OP_TEST(Activation, AddScaleFill) {
  for (std::int64_t n : {0, 1, 37, 40001}) {
    OpCase c(fmt::format("n={}", n), device);
    c.constant("x", {n}).output("sum", {n}).added("sum");
    c.output("scaled", {n}).output("filled", {n});
    c.reference([=](Values& v) {
      v["sum"] = v["x"];
      for (std::int64_t i = 0; i < n; ++i) v["scaled"][i] = -2.5 * v["x"][i];
      for (std::int64_t i = 0; i < n; ++i) v["filled"][i] = 0.75;
    });
    c.run("in place", [](Context& ctx, Tensors& t) {
      add(ctx, t["sum"], t["x"]);
      copy(ctx, t["scaled"], t["x"]);
      scale(ctx, t["scaled"], -2.5f);
      fill(ctx, t["filled"], 0.75f);
    });
    c.check();
  }
}

SEQRANK_OP_TEST(Activation, AddsInDouble) {
  Context ctx(device, 1);
  Tensor sum = ctx.empty(DType::f64, {2}), x = ctx.empty(DType::f64, {2});
  set_values(ctx, sum, {1, 1e15});
  set_values(ctx, x, {1e-15, 2});
  add(ctx, sum, x);
  EXPECT_EQ(get_values(ctx, sum), (std::vector<double>{1 + 1e-15, 1e15 + 2}));
}

SEQRANK_OP_TEST(Activation, Multiplies) {
  for (std::int64_t n : {0, 1, 37, 40001}) {
    OpCase c(fmt::format("n={}", n), device);
    c.constant("x", {n}).constant("y", {n}).output("z", {n}).output("square", {n});
    c.reference([=](Values& v) {
      for (std::int64_t i = 0; i < n; ++i) {
        v["z"][i] = v["x"][i] * v["y"][i];
        v["square"][i] = v["x"][i] * v["x"][i];
      }
    });
    c.run("apart and in place", [](Context& ctx, Tensors& t) {
      multiply(ctx, t["z"], t["x"], t["y"]);
      copy(ctx, t["square"], t["x"]);
      multiply(ctx, t["square"], t["square"], t["x"]);
    });
    c.check();
  }
}

SEQRANK_OP_TEST(Activation, CopiesColumns) {
  constexpr std::int64_t kColumns[][4] = {
      {5, 3, 4, 2}, {1, 1, 1, 0}, {0, 3, 4, 1}, {700, 40, 8, 32}};
  for (const auto& size : kColumns) {
    const std::int64_t n = size[0], m = size[1] + size[2], k = size[2], begin = size[3];
    OpCase c(fmt::format("n={} m={} k={} begin={}", n, m, k, begin), device);
    c.constant("x", {n, k}).output("wide", {n, m}).output("narrow", {n, k});
    c.reference([=](Values& v) {
      for (std::int64_t i = 0; i < n * m; ++i) v["wide"][i] = 9;
      for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t j = 0; j < k; ++j)
          v["wide"][i * m + begin + j] = v["narrow"][i * k + j] = v["x"][i * k + j];
    });
    c.run("there and back", [=](Context& ctx, Tensors& t) {
      fill(ctx, t["wide"], 9);
      copy_into_columns(ctx, t["wide"], begin, t["x"]);
      copy_from_columns(ctx, t["narrow"], t["wide"], begin);
    });
    c.check();
  }
}

SEQRANK_OP_TEST(Activation, KeepsNaN) {
  for (Activation f : kAll) {
    Context ctx(device, 1);
    Tensor x = ctx.empty(DType::f32, {3});
    fill(ctx, x, std::numeric_limits<float>::quiet_NaN());
    activate(ctx, f, x, x);
    for (double y : get_values(ctx, x)) EXPECT_TRUE(std::isnan(y)) << int(f);
  }
}

TEST(ActivationDeathTest, RefusesColumnsBeyondTheEnd) {
  Context ctx(Device::cpu, 1);
  Tensor wide = ctx.empty(DType::f32, {2, 5}), narrow = ctx.empty(DType::f32, {2, 3});
  EXPECT_DEATH(copy_into_columns(ctx, wide, 3, narrow), "columns 3..6 of 5");
}

}  // namespace
}  // namespace seqrank
