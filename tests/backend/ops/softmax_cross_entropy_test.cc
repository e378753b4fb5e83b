// Softmax cross-entropy against the textbook formula in double, over sizes that fill blocks and
// tiles unevenly; stability, bounded workspace, equal bits, refusals.
#include "backend/ops/softmax_cross_entropy.h"

#include <algorithm>
#include <cmath>

#include "tests/support/op_case.h"

namespace seqrank {
namespace {

struct Case {
  std::int64_t n, v, d;
  float smoothing = 0;
  float temperature = 1;
  bool bias = true;
};

std::string describe(const Case& c) {
  return fmt::format("N={} V={} D={} smoothing={} temperature={} bias={}", c.n, c.v, c.d,
                     c.smoothing, c.temperature, c.bias);
}

constexpr float kScale = 0.125f;

// What the formulas read, looked up once.
struct Operands {
  Operands(const Case& c, Values& values)
      : c(c), h(values["h"]), table(values["table"]), target(values["target"]) {
    bias = c.bias ? values["bias"] : std::vector<double>(c.v, 0.0);
  }
  std::vector<double> logits(std::int64_t n) const {
    std::vector<double> logits = bias;
    for (std::int64_t v = 0; v < c.v; ++v)
      for (std::int64_t d = 0; d < c.d; ++d)
        logits[v] += h[n * c.d + d] * table[v * c.d + d] / c.temperature;
    return logits;
  }
  // The distribution that is aimed at.
  double wanted(std::int64_t n, std::int64_t v) const {
    return (v == target[n] ? 1.0 - c.smoothing : 0.0) + double{c.smoothing} / c.v;
  }

  const Case& c;
  const std::vector<double>&h, &table, &target;
  std::vector<double> bias;
};

double log_sum_exp(const std::vector<double>& logits) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (double logit : logits) sum += std::exp(logit - largest);
  return largest + std::log(sum);
}

void reference(const Case& c, Values& values) {
  const Operands x(c, values);
  double& loss = values["loss"][0];
  for (std::int64_t n = 0; n < c.n; ++n) {
    const std::vector<double> logits = x.logits(n);
    const double total = log_sum_exp(logits);
    for (std::int64_t v = 0; v < c.v; ++v) loss -= kScale * x.wanted(n, v) * (logits[v] - total);
  }
}

void reference_backward(const Case& c, Values& values) {
  const Operands x(c, values);
  std::vector<double>&dh = values["dh"], &dtable = values["dtable"];
  for (std::int64_t n = 0; n < c.n; ++n) {
    const std::vector<double> logits = x.logits(n);
    const double total = log_sum_exp(logits);
    for (std::int64_t v = 0; v < c.v; ++v) {
      const double g = kScale * (std::exp(logits[v] - total) - x.wanted(n, v));
      if (c.bias) values["dbias"][v] += g;
      for (std::int64_t d = 0; d < c.d; ++d) {
        dh[n * c.d + d] += g * x.table[v * c.d + d] / c.temperature;
        dtable[v * c.d + d] += g * x.h[n * c.d + d] / c.temperature;
      }
    }
  }
}

void run(const Case& c, Context& ctx, Tensors& t) {
  softmax_cross_entropy(ctx, t["loss"], t["dh"], t["dtable"], c.bias ? t["dbias"] : none, t["h"],
                        t["table"], c.bias ? t["bias"] : none, t["target"], kScale,
                        {.label_smoothing = c.smoothing, .temperature = c.temperature});
}

void check(const Case& c, Device device) {
  OpCase op(describe(c), device);
  op.input("h", {c.n, c.d}).input("table", {c.v, c.d}).integers("target", {c.n}, c.v).loss("loss");
  op.added("dtable");
  if (c.bias) op.input("bias", {c.v}).added("dbias");
  op.reference([=](Values& values) { reference(c, values); });
  op.reference_backward([=](Values& values) { reference_backward(c, values); });
  op.run("plain", [=](Context& ctx, Tensors& t) { run(c, ctx, t); });
  op.check();
}

SEQRANK_OP_TEST(SoftmaxCrossEntropy, MatchesReference) {
  for (const Case& c : {Case{0, 5, 3}, Case{1, 1, 1}, Case{1, 17, 4}, Case{7, 17, 1}, Case{7, 1, 5},
                        Case{7, 33, 8, 0, 1, false}, Case{7, 17, 4, 0.1f}, Case{7, 17, 4, 0, 0.25f},
                        Case{7, 17, 4, 0.2f, 2, false}, Case{6, 256, 2}})
    check(c, device);
}

// Rows beyond one block, and beyond one group of blocks; the last block is short.
SEQRANK_OP_TEST(SoftmaxCrossEntropy, JoinsBlocksOfRows) {
  for (const Case& c : {Case{128, 9, 2}, Case{129, 9, 2}, Case{600, 11, 3, 0.1f, 0.5f}})
    check(c, device);
}

// Items beyond one tile; the last tile is short. Gradients are stated as plain results, which are
// not checked by central differences: those take minutes here, and are done above.
SEQRANK_OP_TEST(SoftmaxCrossEntropy, JoinsTilesOfItems) {
  for (const Case& c :
       {Case{3, 2049, 2}, Case{140, 4101, 3, 0.1f, 0.5f}, Case{70, 140003, 1, 0, 1}}) {
    OpCase op(describe(c), device);
    op.constant("h", {c.n, c.d}, -3, 3).constant("table", {c.v, c.d}, -3, 3);
    op.constant("bias", {c.v}).integers("target", {c.n}, c.v).loss("loss");
    op.side_output("dh", {c.n, c.d}).side_output("dtable", {c.v, c.d}).side_output("dbias", {c.v});
    op.added("dtable").added("dbias");
    if (c.v > 100000) op.tolerance(5e-5);  // a product may add so many terms in one fp32 sum
    op.reference([=](Values& values) {
      reference(c, values);
      reference_backward(c, values);
    });
    op.run("plain", [=](Context& ctx, Tensors& t) { run(c, ctx, t); });
    op.check();
  }
}

// Each operand of the three products is moved by up to 2^-9 of itself: logits of up to D by D 2^-8.
SEQRANK_OP_TEST(SoftmaxCrossEntropy, InBf16) {
  for (const Case& c : {Case{0, 5, 3}, Case{7, 1, 5}, Case{7, 33, 8, 0, 1, false},
                        Case{7, 17, 4, 0.1f, 0.5f}, Case{600, 11, 3}, Case{140, 4101, 3}}) {
    OpCase op(describe(c) + " bf16", device);
    op.constant("h", {c.n, c.d}).constant("table", {c.v, c.d}).constant("bias", {c.v});
    op.integers("target", {c.n}, c.v).loss("loss").tolerance(0x1p-7);
    op.side_output("dh", {c.n, c.d}).side_output("dtable", {c.v, c.d}).side_output("dbias", {c.v});
    op.added("dtable").added("dbias");
    op.reference([=](Values& values) {
      reference(c, values);
      reference_backward(c, values);
    });
    op.run("plain", [=](Context& ctx, Tensors& t) {
      const std::string note = ctx.set_precision(Precision::bf16);
      run(c, ctx, t);
    });
    op.check();
  }
}

struct Results {
  Tensor loss, dh, dtable, dbias;
};

Tensor tensor_of(Context& ctx, DType type, Shape shape, const std::vector<double>& values) {
  Tensor tensor = ctx.empty(type, shape);
  set_values(ctx, tensor, values);
  return tensor;
}

// Operands by a rule that needs no storage; results start at zero.
Results run_synthetic(Context& ctx, std::int64_t n, std::int64_t v, std::int64_t d,
                      SoftmaxOptions options = {}) {
  const auto wave = [](std::int64_t count, double step) {
    std::vector<double> values(count);
    for (std::int64_t i = 0; i < count; ++i) values[i] = std::sin(step * i);
    return values;
  };
  std::vector<double> target(n);
  for (std::int64_t i = 0; i < n; ++i) target[i] = i * 7 % v;
  Results r{tensor_of(ctx, DType::f64, {1}, {0}), ctx.empty(DType::f32, {n, d}),
            tensor_of(ctx, DType::f32, {v, d}, std::vector<double>(v * d, 0)),
            tensor_of(ctx, DType::f32, {v}, std::vector<double>(v, 0))};
  softmax_cross_entropy(ctx, r.loss, r.dh, r.dtable, r.dbias,
                        tensor_of(ctx, DType::f32, {n, d}, wave(n * d, 0.7)),
                        tensor_of(ctx, DType::f32, {v, d}, wave(v * d, 1.3)),
                        tensor_of(ctx, DType::f32, {v}, wave(v, 0.1)),
                        tensor_of(ctx, DType::i32, {n}, target), 1.0f / n, options);
  return r;
}

// Rows beyond one block of a device, of which the last is small. The CPU cuts them otherwise.
SEQRANK_OP_TEST(SoftmaxCrossEntropy, BlocksOfRowsAreAsOne) {
  if (device == Device::cpu) GTEST_SKIP() << "the others are compared with it";
  constexpr std::int64_t kRows = 520, kItems = 16640;
  Context cpu(Device::cpu, 1), ctx(device, 1);
  const Results want = run_synthetic(cpu, kRows, kItems, 3);
  const Results got = run_synthetic(ctx, kRows, kItems, 3);
  EXPECT_NEAR(get_values(ctx, got.loss)[0], get_values(cpu, want.loss)[0], 1e-5);
  for (const auto& [a, b] :
       {std::pair{want.dh, got.dh}, {want.dtable, got.dtable}, {want.dbias, got.dbias}}) {
    const std::vector<double> x = get_values(cpu, a), y = get_values(ctx, b);
    double largest = 0, apart = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      largest = std::max(largest, std::abs(x[i]));
      apart = std::max(apart, std::abs(x[i] - y[i]));
    }
    EXPECT_LT(apart, 1e-5 * largest);
  }
}

// A power of two: every digit of the gradients stays.
SEQRANK_OP_TEST(SoftmaxCrossEntropy, LossScaleMultipliesGradientsAlone) {
  Context ctx(device, 1);
  SoftmaxOptions scaled{.label_smoothing = 0.1f};
  scaled.loss_scale_1 = tensor_of(ctx, DType::f32, {1}, {1024});
  const Results a = run_synthetic(ctx, 150, 2100, 5, {.label_smoothing = 0.1f});
  const Results b = run_synthetic(ctx, 150, 2100, 5, scaled);
  ctx.compute().synchronize();
  EXPECT_EQ(get_values(ctx, a.loss), get_values(ctx, b.loss));
  for (auto [plain, times] : {std::pair{a.dh, b.dh}, {a.dtable, b.dtable}, {a.dbias, b.dbias}}) {
    std::vector<double> values = get_values(ctx, plain);
    for (double& value : values) value *= 1024;
    EXPECT_EQ(values, get_values(ctx, times));
  }
}

// Logits of +-10,000, exact in fp32: e^10000 must not appear. The first row's target is the best
// item, the second's the worst, and each row's two best differ by one.
SEQRANK_OP_TEST(SoftmaxCrossEntropy, LargeLogitsAreStable) {
  Context ctx(device, 1);
  Tensor h = tensor_of(ctx, DType::f32, {2, 1}, {1, -1});
  Tensor table = tensor_of(ctx, DType::f32, {4, 1}, {10000, 9999, -9999, -10000});
  Tensor target = tensor_of(ctx, DType::i32, {2}, {0, 0});
  Tensor loss = tensor_of(ctx, DType::f64, {1}, {3});
  Tensor dh = ctx.empty(DType::f32, {2, 1});
  Tensor dtable = tensor_of(ctx, DType::f32, {4, 1}, {0, 0, 0, 0});
  softmax_cross_entropy(ctx, loss, dh, dtable, none, h, table, none, target, 1, {});
  const double p = 1 / (1 + std::exp(-1.0));
  EXPECT_NEAR(get_values(ctx, loss)[0], 3 - std::log(p) + 20000 - std::log(p), 1e-6);
  EXPECT_NEAR(get_values(ctx, dh)[0], p * 10000 + (1 - p) * 9999 - 10000, 2e-3);
  EXPECT_NEAR(get_values(ctx, dh)[1], p * -10000 + (1 - p) * -9999 - 10000, 2e-3);
  const std::vector<double> want{p - 1 + 1, 1 - p, -(1 - p), -p};
  for (int v = 0; v < 4; ++v) EXPECT_NEAR(get_values(ctx, dtable)[v], want[v], 1e-6) << v;
}

// A tile whose logits are all far below, or all -inf, adds nothing; one far above wins.
SEQRANK_OP_TEST(SoftmaxCrossEntropy, TilesOfUnlikeSize) {
  constexpr std::int64_t kItems = 6000;
  Context ctx(device, 1);
  std::vector<double> bias(kItems, -INFINITY);
  bias[3000] = -500;
  bias[5999] = 700;
  bias[5998] = 699;
  Tensor loss = tensor_of(ctx, DType::f64, {1}, {0});
  Tensor dh = ctx.empty(DType::f32, {1, 1});
  Tensor dtable = tensor_of(ctx, DType::f32, {kItems, 1}, std::vector<double>(kItems, 0));
  Tensor dbias = tensor_of(ctx, DType::f32, {kItems}, std::vector<double>(kItems, 0));
  softmax_cross_entropy(ctx, loss, dh, dtable, dbias, tensor_of(ctx, DType::f32, {1, 1}, {0}),
                        tensor_of(ctx, DType::f32, {kItems, 1}, std::vector<double>(kItems, 1)),
                        tensor_of(ctx, DType::f32, {kItems}, bias),
                        tensor_of(ctx, DType::i32, {1}, {5999}), 1, {});
  const double p = 1 / (1 + std::exp(-1.0));
  EXPECT_NEAR(get_values(ctx, loss)[0], -std::log(p), 1e-6);
  EXPECT_NEAR(get_values(ctx, dh)[0], 0, 1e-6);
  const std::vector<double> got = get_values(ctx, dbias);
  for (std::int64_t v = 0; v < kItems; ++v)
    EXPECT_NEAR(got[v], v == 5999 ? p - 1 : v == 5998 ? 1 - p : 0, 1e-6) << v;
}

SEQRANK_OP_TEST(SoftmaxCrossEntropy, NanReachesTheLoss) {
  Context ctx(device, 1);
  Tensor loss = tensor_of(ctx, DType::f64, {1}, {0});
  Tensor dh = ctx.empty(DType::f32, {1, 1});
  Tensor dtable = tensor_of(ctx, DType::f32, {40, 1}, std::vector<double>(40, 0));
  std::vector<double> items(40, 1);
  items[37] = NAN;
  Tensor table = tensor_of(ctx, DType::f32, {40, 1}, items);
  softmax_cross_entropy(ctx, loss, dh, dtable, none, tensor_of(ctx, DType::f32, {1, 1}, {1}), table,
                        none, tensor_of(ctx, DType::i32, {1}, {0}), 1, {});
  EXPECT_TRUE(std::isnan(get_values(ctx, loss)[0]));
}

SEQRANK_OP_TEST(SoftmaxCrossEntropy, BadTargetReachesTheLossOfAGpu) {
  if (device == Device::cpu) GTEST_SKIP() << "refused there";
  for (double bad : {-1.0, 3.0}) {
    Context ctx(device, 1);
    Tensor loss = tensor_of(ctx, DType::f64, {1}, {0});
    Tensor dh = ctx.empty(DType::f32, {2, 1});
    Tensor dtable = tensor_of(ctx, DType::f32, {3, 1}, {0, 0, 0});
    softmax_cross_entropy(ctx, loss, dh, dtable, none, tensor_of(ctx, DType::f32, {2, 1}, {1, 1}),
                          tensor_of(ctx, DType::f32, {3, 1}, {1, 2, 3}), none,
                          tensor_of(ctx, DType::i32, {2}, {0, bad}), 1, {});
    EXPECT_TRUE(std::isnan(get_values(ctx, loss)[0])) << bad;
  }
}

TEST(SoftmaxCrossEntropy, WorkspaceDoesNotGrowWithRows) {
  const auto peak = [](std::int64_t n, std::int64_t v, std::int64_t d) {
    Context ctx(Device::cpu, 1);
    run_synthetic(ctx, n, v, d);
    return ctx.arena().peak_bytes(Tag::workspace);
  };
  EXPECT_EQ(peak(2000, 500, 4), peak(500, 500, 4));
  // Logits of a block, the table once more, its gradient once more; a fifth for rounding of sizes.
  EXPECT_LT(peak(200, 60000, 2), 1.2 * ((16 << 20) + 60000 * (2 + 3) * sizeof(float)));
}

TEST(SoftmaxCrossEntropy, SameBitsForOneAndTwoThreads) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "ThreadSanitizer cannot see OpenMP's barriers";
#endif
  Context one(Device::cpu, 1);
  const Results a = run_synthetic(one, 1100, 2500, 8);
  Context two(Device::cpu, 2);
  for (int repeat = 0; repeat < 3; ++repeat) {
    const Results b = run_synthetic(two, 1100, 2500, 8);
    EXPECT_EQ(get_values(one, a.loss), get_values(two, b.loss));
    EXPECT_EQ(get_values(one, a.dh), get_values(two, b.dh));
    EXPECT_EQ(get_values(one, a.dtable), get_values(two, b.dtable));
    EXPECT_EQ(get_values(one, a.dbias), get_values(two, b.dbias));
  }
}

TEST(SoftmaxCrossEntropy, RefusesBadOperands) {
  Context ctx(Device::cpu, 1);
  Tensor h = tensor_of(ctx, DType::f32, {1, 2}, {0, 0});
  Tensor table = tensor_of(ctx, DType::f32, {3, 2}, std::vector<double>(6, 0));
  Tensor loss = tensor_of(ctx, DType::f64, {1}, {0});
  Tensor dh = ctx.empty(DType::f32, {1, 2}), dtable = ctx.empty(DType::f32, {3, 2});
  const auto call = [&](const Tensor& target, SoftmaxOptions options) {
    softmax_cross_entropy(ctx, loss, dh, dtable, none, h, table, none, target, 1, options);
  };
  const Tensor good = tensor_of(ctx, DType::i32, {1}, {2});
  EXPECT_NO_THROW(call(good, {}));
  for (double bad : {-1.0, 3.0})
    EXPECT_THROW(call(tensor_of(ctx, DType::i32, {1}, {bad}), {}), Error);
  EXPECT_THROW(call(tensor_of(ctx, DType::i32, {2}, {0, 0}), {}), Error);
  EXPECT_THROW(call(good, {.temperature = 0}), Error);
  EXPECT_THROW(call(good, {.label_smoothing = 1}), Error);
}

}  // namespace
}  // namespace seqrank
