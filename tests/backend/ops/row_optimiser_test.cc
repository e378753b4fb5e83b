// Updates of rows against their definitions in double, and that nothing else of a table is touched.
#include "backend/ops/row_optimiser.h"

#include <cmath>
#include <limits>

#include "tests/support/op_case.h"

namespace seqrank {
namespace {

constexpr RowRate kRate = {0.01f, 0.125f};
constexpr std::int64_t kRows = 50;

// Every third row, from the last.
std::vector<double> ids(std::int64_t rows) {
  std::vector<double> id_U;
  for (std::int64_t u = 0; u < rows; ++u) id_U.push_back(static_cast<double>(kRows - 1 - 3 * u));
  return id_U;
}

void adagrad_reference(Values& v, std::int64_t u, std::int64_t d, double factor) {
  const auto row = static_cast<std::int64_t>(v["id"][u]);
  double squares = 0;
  for (std::int64_t j = 0; j < d; ++j) squares += std::pow(v["g"][u * d + j] * factor, 2);
  v["sum"][row] += squares / static_cast<double>(d);
  for (std::int64_t j = 0; j < d; ++j) {
    double& w = v["w"][row * d + j];
    w -= kRate.rate *
         (v["g"][u * d + j] * factor / (std::sqrt(v["sum"][row]) + 1e-8) + kRate.decay * w);
  }
}

void adam_reference(Values& v, std::int64_t u, std::int64_t d, double factor) {
  const AdamW o;
  const double b1 = o.beta1, b2 = o.beta2;
  const auto row = static_cast<std::int64_t>(v["id"][u]);
  const double count = ++v["updates"][row];
  for (std::int64_t j = 0; j < d; ++j) {
    double &w = v["w"][row * d + j], &m = v["m"][row * d + j], &s = v["v"][row * d + j];
    const double g = v["g"][u * d + j] * factor;
    m = b1 * m + (1 - b1) * g;
    s = b2 * s + (1 - b2) * g * g;
    const double m_hat = m / (1 - std::pow(b1, count)), v_hat = s / (1 - std::pow(b2, count));
    w -= kRate.rate * (m_hat / (std::sqrt(v_hat) + o.epsilon) + kRate.decay * w);
  }
}

void check(Device device, const std::vector<std::string>& state, std::int64_t rows, std::int64_t d,
           double factor, const std::function<void(Values&, std::int64_t)>& reference,
           const std::function<void(Context&, Tensors&)>& run) {
  OpCase c(fmt::format("rows={} d={} factor={}", rows, d, factor), device);
  c.constant("g", {rows, d}).constant_values("id", {rows}, DType::i32, ids(rows));
  c.constant_values("scale", {1}, DType::f32, {factor});
  std::vector<double> counts;  // of updates: whole numbers
  for (std::int64_t k = 0; k < kRows; ++k) counts.push_back(static_cast<double>(k % 7 * 100));
  for (const std::string& name : state) {
    const Shape shape = name == "sum" || name == "updates" ? Shape{kRows} : Shape{kRows, d};
    if (name == "updates")
      c.constant_values(name + "0", shape, DType::f32, counts);
    else
      c.constant(name + "0", shape, name == "sum" || name == "v" ? 0 : -0.1, 0.1);
    c.output(name, shape);
  }
  c.reference([=](Values& v) {
    for (const std::string& name : state) v[name] = v[name + "0"];
    for (std::int64_t u = 0; u < rows && factor != 0; ++u) reference(v, u);
  });
  c.run("rows", [=](Context& ctx, Tensors& t) {
    for (const std::string& name : state) t[name] = t[name + "0"];
    run(ctx, t);
  });
  c.check();
}

void check_adagrad(Device device, std::int64_t rows, std::int64_t d, double factor) {
  check(
      device, {"w", "sum"}, rows, d, factor,
      [=](Values& v, std::int64_t u) { adagrad_reference(v, u, d, factor); },
      [](Context& ctx, Tensors& t) {
        rowwise_adagrad(ctx, t["w"], t["sum"], t["id"], t["g"], t["scale"], kRate);
      });
}

void check_adam(Device device, std::int64_t rows, std::int64_t d, double factor) {
  check(
      device, {"w", "m", "v", "updates"}, rows, d, factor,
      [=](Values& v, std::int64_t u) { adam_reference(v, u, d, factor); },
      [](Context& ctx, Tensors& t) {
        LazyMoments moments{t["m"], t["v"], t["updates"]};
        lazy_adam(ctx, t["w"], moments, t["id"], t["g"], t["scale"], AdamW{}, kRate);
      });
}

SEQRANK_OP_TEST(RowwiseAdagrad, MatchesItsDefinition) {
  for (std::int64_t rows : {0, 1, 17})
    for (std::int64_t d : {1, 8, 37, 64}) check_adagrad(device, rows, d, 0.5);
  check_adagrad(device, 17, 8, 0);
}

SEQRANK_OP_TEST(LazyAdam, MatchesItsDefinition) {
  for (std::int64_t rows : {0, 1, 17})
    for (std::int64_t d : {1, 8, 37, 64}) check_adam(device, rows, d, 0.5);
  check_adam(device, 17, 8, 0);
}

// A first gradient is a step of the learning rate, however long the others have trained; one of
// zeros is none.
SEQRANK_OP_TEST(RowwiseAdagrad, BeginsWithAStepOfTheRate) {
  Context ctx(device, 1);
  Tensor w = ctx.empty(DType::f32, {2, 2}), sum = ctx.empty(DType::f32, {2});
  Tensor g = ctx.empty(DType::f32, {2, 2}), id = ctx.empty(DType::i32, {2});
  Tensor scale = ctx.empty(DType::f32, {1});
  set_values(ctx, w, {1, 1, 1, 1});
  set_values(ctx, sum, {0, 0});
  set_values(ctx, g, {1e-6, -1e-6, 0, 0});
  set_values(ctx, id, {1, 0});
  set_values(ctx, scale, {1});
  rowwise_adagrad(ctx, w, sum, id, g, scale, {0.5f, 0});
  const auto values = get_values(ctx, w);
  EXPECT_EQ(values[0], 1);
  EXPECT_EQ(values[1], 1);
  EXPECT_NEAR(values[2], 0.5, 0.01);
  EXPECT_NEAR(values[3], 1.5, 0.01);
}

SEQRANK_OP_TEST(RowOptimisers, WriteNothingWhereTheScaleIsZero) {
  Context ctx(device, 1);
  std::map<std::string, Tensor> t;
  for (const char* name : {"w", "m", "v"}) {
    t[name] = ctx.empty(DType::f32, {3, 1});
    set_values(ctx, t[name], {1, 2, 3});
  }
  for (const char* name : {"sum", "updates"}) {
    t[name] = ctx.empty(DType::f32, {3});
    set_values(ctx, t[name], {1, 2, 3});
  }
  Tensor g = ctx.empty(DType::f32, {2, 1}), id = ctx.empty(DType::i32, {2});
  Tensor scale = ctx.empty(DType::f32, {1});
  set_values(ctx, g, {NAN, INFINITY});
  set_values(ctx, id, {2, 0});
  set_values(ctx, scale, {0});
  rowwise_adagrad(ctx, t["w"], t["sum"], id, g, scale, kRate);
  LazyMoments moments{t["m"], t["v"], t["updates"]};
  lazy_adam(ctx, t["w"], moments, id, g, scale, AdamW{}, kRate);
  for (const auto& [name, tensor] : t)
    EXPECT_EQ(get_values(ctx, tensor), (std::vector<double>{1, 2, 3})) << name;
}

// Untied tables look up the ids of each other: what has no gradient knows nothing of the step.
SEQRANK_OP_TEST(RowOptimisers, LeaveRowsWithoutGradientAlone) {
  Context ctx(device, 1);
  const auto tensor = [&](DType type, Shape shape, const std::vector<double>& values) {
    Tensor x = ctx.empty(type, shape);
    set_values(ctx, x, values);
    return x;
  };
  const auto rows = [&] { return tensor(DType::f32, {2, 2}, {1, 2, 3, 4}); };
  const auto sums = [&] { return tensor(DType::f32, {2}, {5, 6}); };
  const Tensor id = tensor(DType::i32, {2}, {1, 0}), scale = tensor(DType::f32, {1}, {1});
  const Tensor g = tensor(DType::f32, {2, 2}, {0, 0, 0, 1});
  Tensor w = rows(), sum = sums();
  rowwise_adagrad(ctx, w, sum, id, g, scale, kRate);
  EXPECT_EQ(get_values(ctx, w)[2], 3);
  EXPECT_EQ(get_values(ctx, w)[3], 4);
  EXPECT_NE(get_values(ctx, w)[1], 2);
  EXPECT_EQ(get_values(ctx, sum), (std::vector<double>{5.5, 6}));
  w = rows();
  LazyMoments moments{rows(), rows(), sums()};
  lazy_adam(ctx, w, moments, id, g, scale, AdamW{}, kRate);
  for (const Tensor& x : {w, moments.m_KD, moments.v_KD}) {
    EXPECT_EQ(get_values(ctx, x)[2], 3);
    EXPECT_EQ(get_values(ctx, x)[3], 4);
    EXPECT_NE(get_values(ctx, x)[1], 2);
  }
  EXPECT_EQ(get_values(ctx, moments.updates_K), (std::vector<double>{6, 6}));
}

}  // namespace
}  // namespace seqrank
