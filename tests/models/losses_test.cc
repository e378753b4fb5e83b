// Losses on a tape: worked examples, restriction to chosen places, gradients that arrive.
#include "models/nn/losses.h"

#include <gtest/gtest.h>

#include <cmath>

#include "backend/ops/activation.h"
#include "models/nn/layers.h"
#include "tests/support/tensor_values.h"

namespace seqrank {
namespace {

Tensor tensor_of(Context& ctx, DType type, Shape shape, const std::vector<double>& values) {
  Tensor tensor = ctx.empty(type, shape);
  set_values(ctx, tensor, values);
  return tensor;
}

// An identity whose backward keeps the gradient.
Var watch(Tape& tape, Tensor value, std::vector<double>& gradient) {
  Var y(std::move(value));
  tape.record(y, {}, [&, y] { gradient = get_values(tape.ctx(), y.gradient()); });
  return y;
}

// The states of two of three places against two items; logits (1, 0) and (0, 2), both targets the
// second: log(1 + e) + log(1 + e^-2), over 4 targets of all ranks.
TEST(Losses, SoftmaxOfChosenPlacesLeavesTheOthersAlone) {
  Context ctx(Device::cpu, 1);
  Tape tape(ctx, TapeMode::training, 1);
  std::vector<double> gradient;
  Var h = watch(tape, tensor_of(ctx, DType::f32, {3, 2}, {1, 0, 7, 7, 0, 2}), gradient);
  Var table(tensor_of(ctx, DType::f32, {2, 2}, {1, 0, 0, 1}));
  const Tensor row = tensor_of(ctx, DType::i32, {2}, {2, 0});
  const Tensor target = tensor_of(ctx, DType::i32, {2}, {1, 1});
  Var loss = nn::softmax_loss(tape, nn::select_rows(tape, h, row), table, target,
                              /*global_targets=*/4, {});
  tape.backward(loss);
  const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
  EXPECT_NEAR(get_values(ctx, loss.value())[0],
              (std::log1p(std::exp(1)) + std::log1p(std::exp(-2))) / 4, 1e-6);
  const double first = sigmoid(1) / 4, last = sigmoid(-2) / 4;
  const double want[] = {first, -first, 0, 0, last, -last};
  for (int i = 0; i < 6; ++i) EXPECT_NEAR(gradient[i], want[i], 1e-7) << i;
}

TEST(Losses, BinaryCrossEntropyOfRowsOfLabels) {
  Context ctx(Device::cpu, 1);
  Tape tape(ctx, TapeMode::training, 1);
  std::vector<double> gradient;
  Var logit = watch(tape, tensor_of(ctx, DType::f32, {2, 2}, {0, 1, 2, 0}), gradient);
  const Tensor label = tensor_of(ctx, DType::u8, {2, 2}, {1, 1, 0, 1});
  Var loss = nn::binary_cross_entropy(tape, logit, label, /*global_elements=*/8);
  tape.backward(loss);
  EXPECT_NEAR(get_values(ctx, loss.value())[0],
              (2 * std::log(2) + std::log1p(std::exp(-1)) + std::log1p(std::exp(2))) / 8, 1e-7);
  const double want[] = {-0.5, -1 / (1 + std::exp(1)), 1 / (1 + std::exp(-2)), -0.5};
  for (int i = 0; i < 4; ++i) EXPECT_NEAR(gradient[i], want[i] / 8, 1e-7) << i;
}

TEST(Losses, ALossScaleIsInTheGradientsAlone) {
  Context ctx(Device::cpu, 1);
  std::vector<double> plain, scaled;
  double loss[2];
  for (std::vector<double>* gradient : {&plain, &scaled}) {
    Tape tape(ctx, TapeMode::training, 1, {},
              gradient == &scaled ? tensor_of(ctx, DType::f32, {1}, {8}) : Tensor());
    Var logit = watch(tape, tensor_of(ctx, DType::f32, {1}, {0.5}), *gradient);
    Var value = nn::binary_cross_entropy(tape, logit, tensor_of(ctx, DType::u8, {1}, {1}), 1);
    tape.backward(value);
    loss[gradient == &scaled] = get_values(ctx, value.value())[0];
  }
  EXPECT_EQ(loss[0], loss[1]);
  EXPECT_EQ(8 * plain[0], scaled[0]);
}

TEST(Losses, ASumGivesEachItsWeightedGradient) {
  Context ctx(Device::cpu, 1);
  Tape tape(ctx, TapeMode::training, 1);
  std::vector<double> first, second;
  Var a = watch(tape, tensor_of(ctx, DType::f32, {1}, {0.5}), first);
  Var b = watch(tape, tensor_of(ctx, DType::f32, {1}, {-1}), second);
  const Tensor label = tensor_of(ctx, DType::u8, {1}, {1});
  Var loss = nn::add_losses(tape, nn::binary_cross_entropy(tape, a, label, 1),
                            nn::binary_cross_entropy(tape, b, label, 1, 0.25f));
  tape.backward(loss);
  EXPECT_NEAR(get_values(ctx, loss.value())[0],
              std::log1p(std::exp(-0.5)) + 0.25 * std::log1p(std::exp(1)), 1e-7);
  EXPECT_NEAR(first[0], -1 / (1 + std::exp(0.5)), 1e-7);
  EXPECT_NEAR(second[0], -0.25 / (1 + std::exp(-1)), 1e-7);
}

}  // namespace
}  // namespace seqrank
