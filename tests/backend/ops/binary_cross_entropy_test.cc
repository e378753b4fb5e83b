// Binary cross-entropy against the textbook formula in double, for one logit an event and for rows
// of labels; a worked example; logits that overflow the textbook formula.
#include "backend/ops/binary_cross_entropy.h"

#include <cmath>

#include "backend/ops/activation.h"
#include "tests/support/op_case.h"

namespace seqrank {
namespace {

constexpr float kScale = 0.125f;

void check(Shape shape, DType label_type, Device device) {
  OpCase c(fmt::format("{} labels {}", shape.str(), dtype_name(label_type)), device);
  std::vector<double> label(shape.numel());
  for (std::size_t i = 0; i < label.size(); ++i)
    label[i] = label_type == DType::u8 ? (i * 7 % 3 == 0 ? 1.0 : 0.0) : 0.125 * (i % 9);
  c.input("logit", shape, -4, 4).constant_values("label", shape, label_type, label).loss("loss");
  c.reference([](Values& v) {
    for (std::size_t i = 0; i < v["logit"].size(); ++i) {
      const double p = 1 / (1 + std::exp(-v["logit"][i])), y = v["label"][i];
      v["loss"][0] -= kScale * (y * std::log(p) + (1 - y) * std::log(1 - p));
    }
  });
  c.reference_backward([](Values& v) {
    for (std::size_t i = 0; i < v["logit"].size(); ++i)
      v["dlogit"][i] += kScale * (1 / (1 + std::exp(-v["logit"][i])) - v["label"][i]);
  });
  c.run("plain", [](Context& ctx, Tensors& t) {
    binary_cross_entropy(ctx, t["loss"], t["dlogit"], t["logit"], t["label"], kScale, none);
  });
  c.run("in place", [](Context& ctx, Tensors& t) {
    copy(ctx, t["dlogit"], t["logit"]);
    binary_cross_entropy(ctx, t["loss"], t["dlogit"], t["dlogit"], t["label"], kScale, none);
  });
  c.check();
}

SEQRANK_OP_TEST(BinaryCrossEntropy, MatchesReference) {
  for (DType label : {DType::u8, DType::f32})
    for (const Shape& shape : {Shape{0}, Shape{1}, Shape{7}, Shape{1500}, Shape{0, 3}, Shape{5, 3}})
      check(shape, label, device);
}

// More than one piece of work.
SEQRANK_OP_TEST(BinaryCrossEntropy, JoinsPieces) {
  check({130, 97}, DType::u8, device);
}

struct Result {
  double loss;
  std::vector<double> gradient;
};

Result run(Device device, const std::vector<double>& logit, const std::vector<double>& label,
           float loss_scale) {
  Context ctx(device, 1);
  const Shape shape{static_cast<std::int64_t>(logit.size())};
  Tensor loss = ctx.empty(DType::f64, {1}), x = ctx.empty(DType::f32, shape);
  Tensor y = ctx.empty(DType::f32, shape), scale = ctx.empty(DType::f32, {1});
  set_values(ctx, loss, {0});
  set_values(ctx, x, logit);
  set_values(ctx, y, label);
  set_values(ctx, scale, {loss_scale});
  Tensor dx = ctx.empty(DType::f32, shape);
  binary_cross_entropy(ctx, loss, dx, x, y, 1, scale);
  return {get_values(ctx, loss)[0], get_values(ctx, dx)};
}

// log(1 + e) - 1 = log(1 + 1/e) = 0.31326..., log 2, log(1 + e^2) = 2.12692...; a loss scale
// multiplies the gradients alone.
SEQRANK_OP_TEST(BinaryCrossEntropy, WorkedExample) {
  const Result r = run(device, {1, 0, 2}, {1, 1, 0}, 4);
  EXPECT_NEAR(r.loss, 0.3132616875 + 0.6931471806 + 2.1269280110, 1e-6);
  const double want[] = {0.7310585786 - 1, -0.5, 0.8807970780};
  for (int i = 0; i < 3; ++i) EXPECT_NEAR(r.gradient[i], 4 * want[i], 4e-6) << i;
}

SEQRANK_OP_TEST(BinaryCrossEntropy, LargeLogitsAreStable) {
  const Result r = run(device, {200, -200, 200, -200}, {1, 0, 0, 1}, 1);
  EXPECT_EQ(r.loss, 400);
  EXPECT_EQ(r.gradient, (std::vector<double>{0, 0, 1, -1}));
  EXPECT_TRUE(std::isnan(run(device, {0, NAN}, {0, 0}, 1).loss));
}

}  // namespace
}  // namespace seqrank
