// Weights are what the attention of training uses: over one-hot values, its result is the weights.
#include "models/nn/attention_weights.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "backend/ops/additive_attention.h"
#include "backend/ops/attention.h"
#include "tests/support/packed_batch.h"
#include "tests/support/tensor_values.h"

namespace seqrank {
namespace {

const std::vector<std::vector<int>> kSequences = {{1, 2, 3, 4, 5, 6}, {7, 3}, {0, 1, 2, 2}};

Tensor random_tensor(Context& ctx, Shape shape, int seed) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal;
  std::vector<double> values(shape.numel());
  for (double& value : values) value = normal(random);
  Tensor x = ctx.empty(DType::f32, shape);
  set_values(ctx, x, values);
  return x;
}

// Event n of the batch has a one in column n.
Tensor one_hot(Context& ctx, std::int64_t n) {
  std::vector<double> values(n * n, 0);
  for (std::int64_t i = 0; i < n; ++i) values[i * n + i] = 1;
  Tensor x = ctx.empty(DType::f32, {n, n});
  set_values(ctx, x, values);
  return x;
}

// row `last` of the operator's result holds the weights of its sequence.
void expect_weights(Context& ctx, const Batch& batch, const Tensor& weight_N,
                    const Tensor& result_NN) {
  const auto offset_B1 = batch.offset_B1.span<std::int32_t>();
  const auto result = get_values(ctx, result_NN);
  for (std::int64_t b = 0; b < batch.sequences; ++b)
    for (std::int64_t n = offset_B1[b]; n < offset_B1[b + 1]; ++n)
      EXPECT_NEAR(weight_N.data<float>()[n], result[(offset_B1[b + 1] - 1) * batch.events + n],
                  1e-5);
}

TEST(AttentionWeights, AreThoseOfRunningAttention) {
  Context ctx(Device::cpu, 1);
  const Batch batch = packed_batch(ctx, kSequences);
  const std::int64_t n = batch.events;
  const Tensor score_N1 = random_tensor(ctx, {n, 1}, 1);
  Tensor c_NN = ctx.empty(DType::f32, {n, n}), max_N = ctx.empty(DType::f32, {n}),
         sum_N = ctx.empty(DType::f32, {n});
  running_attention(ctx, c_NN, max_N, sum_N, score_N1.reshape({n}), one_hot(ctx, n),
                    batch.offset_B1);
  expect_weights(ctx, batch, nn::weights_of_scores(ctx, score_N1, batch), c_NN);
}

TEST(AttentionWeights, AreThoseOfQueryAttention) {
  Context ctx(Device::cpu, 1);
  const Batch batch = packed_batch(ctx, kSequences);
  const std::int64_t n = batch.events;
  for (const Activation act : {Activation::tanh, Activation::relu}) {
    const Tensor k = random_tensor(ctx, {n, 4}, 1), q = random_tensor(ctx, {n, 4}, 2),
                 w = random_tensor(ctx, {4}, 3);
    Tensor c_NN = ctx.empty(DType::f32, {n, n}), lse_N = ctx.empty(DType::f32, {n});
    query_attention(ctx, act, c_NN, lse_N, k, q, w, one_hot(ctx, n), batch.offset_B1);
    expect_weights(ctx, batch, nn::weights_of_query(ctx, act, k, q, w, batch), c_NN);
  }
}

// One, of the event with the largest w . tanh(k_j + q_last).
TEST(AttentionWeights, AreOfTheEventThatHardAttentionTakes) {
  Context ctx(Device::cpu, 1);
  const Batch batch = packed_batch(ctx, kSequences);
  const std::int64_t n = batch.events;
  const Tensor k = random_tensor(ctx, {n, 4}, 1), q = random_tensor(ctx, {n, 4}, 2),
               w = random_tensor(ctx, {4}, 3);
  const Tensor weight_N = nn::weights_of_choice(ctx, Activation::tanh, k, q, w, batch);
  const auto offset_B1 = batch.offset_B1.span<std::int32_t>();
  for (std::int64_t b = 0; b < batch.sequences; ++b) {
    const std::int64_t begin = offset_B1[b], end = offset_B1[b + 1];
    std::vector<double> score;
    for (std::int64_t j = begin; j < end; ++j) {
      score.push_back(0);
      for (int a = 0; a < 4; ++a)
        score.back() += w.data<float>()[a] * std::tanh(double{k.data<float>()[4 * j + a]} +
                                                       q.data<float>()[4 * (end - 1) + a]);
    }
    const auto best = begin + (std::ranges::max_element(score) - score.begin());
    for (std::int64_t j = begin; j < end; ++j)
      EXPECT_EQ(weight_N.data<float>()[j], j == best ? 1 : 0) << b << " " << j;
  }
}

// Events summed by the weights are what the activation unit gives after the last event.
TEST(AttentionWeights, AreThoseOfTheActivationUnit) {
  Context ctx(Device::cpu, 1);
  const Batch batch = packed_batch(ctx, kSequences);
  const std::int64_t n = batch.events, width = 3, hidden = 5;
  for (const Activation act : {Activation::tanh, Activation::relu}) {
    ParameterStore store;
    const nn::DinUnit unit = nn::declare_din_unit(store, "unit", width, hidden);
    store.allocate(ctx, 7);
    const Tensor h = random_tensor(ctx, {n, width}, 1), x = random_tensor(ctx, {n, width}, 2);
    Tape tape(ctx, TapeMode::inference, 0);
    const Tensor z = nn::din_attention(tape, act, Var(h), Var(x), unit, batch).value();
    const Tensor weight_N = nn::weights_of_din(ctx, act, h, x, unit, batch);
    const auto offset_B1 = batch.offset_B1.span<std::int32_t>();
    for (std::int64_t b = 0; b < batch.sequences; ++b) {
      for (std::int64_t d = 0; d < width; ++d) {
        double sum = 0;
        for (std::int64_t j = offset_B1[b]; j < offset_B1[b + 1]; ++j)
          sum += double{weight_N.data<float>()[j]} * h.data<float>()[width * j + d];
        EXPECT_NEAR(sum, z.data<float>()[width * (offset_B1[b + 1] - 1) + d], 1e-5);
      }
    }
  }
}

// Over one-hot values, with tables of both kinds.
TEST(AttentionWeights, AreThoseOfPointwiseAttention) {
  Context ctx(Device::cpu, 1);
  BatchNeeds needs;
  needs.times = true;
  const Batch batch = packed_batch(ctx, kSequences, 0, needs);
  const std::int64_t n = batch.events;
  ParameterStore store;
  const Initialiser normal{Initialiser::Kind::normal, 0.5f};
  nn::BiasParameters bias;
  bias.position_HR = &store.declare("position", {1, 4}, normal);
  bias.time_HT = &store.declare("time", {1, 6}, normal);
  store.allocate(ctx, 7);
  const Tensor q = random_tensor(ctx, {n, n}, 1), k = random_tensor(ctx, {n, n}, 2);
  Tape tape(ctx, TapeMode::inference, 0);
  const Tensor o_NN =
      nn::silu_attention(tape, 3, 1, Var(q), Var(k), Var(one_hot(ctx, n)), batch, bias).value();
  expect_weights(ctx, batch, nn::weights_of_silu(ctx, 3, 1, q, k, bias, batch), o_NN);
}

TEST(AttentionWeights, AreThoseOfOneHead) {
  Context ctx(Device::cpu, 1);
  const Batch batch = packed_batch(ctx, kSequences);
  const std::int64_t n = batch.events;
  const Tensor q = random_tensor(ctx, {n, n}, 1), k = random_tensor(ctx, {n, n}, 2);
  Tensor o_NN = ctx.empty(DType::f32, {n, n}), lse_NH = ctx.empty(DType::f32, {n, 1});
  Tensor o_NHK = o_NN.reshape({n, 1, n});
  AttentionOptions options;
  options.scale = 1 / std::sqrt(static_cast<float>(n));
  options.max_length = 5;
  multi_head_attention(ctx, options, o_NHK, lse_NH, q.reshape({n, 1, n}), k.reshape({n, 1, n}),
                       one_hot(ctx, n).reshape({n, 1, n}), {}, batch.place_B, batch.offset_B1);
  expect_weights(ctx, batch, nn::weights_of_heads(ctx, 1, q, k, batch), o_NN);
}

}  // namespace
}  // namespace seqrank
