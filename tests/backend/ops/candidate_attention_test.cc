// Candidates over whole histories against the definition in doubles.
#include "backend/ops/candidate_attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/backend/ops/packing.h"
#include "tests/support/op_case.h"

namespace seqrank {
namespace {

using Row = std::vector<double>;

void check_candidates(Device device, Attend attend, Activation act, const Packing& packing,
                      std::int64_t candidates, std::int64_t keys, std::int64_t width) {
  const std::int64_t events = packing.events(), rows = packing.sequences() * candidates;
  OpCase c(fmt::format("{} {} B={} N={} C={} A={} D={}", attend == Attend::soft ? "soft" : "hard",
                       act == Activation::tanh ? "tanh" : "relu", packing.sequences(), events,
                       candidates, keys, width),
           device);
  c.constant("k", {events, keys}).constant("q", {candidates, keys}).constant("w", {keys});
  c.constant("v", {events, width});
  c.constant_values("offset", {packing.sequences() + 1}, DType::i32, packing.offset);
  c.output("z", {rows, width});
  c.reference([=](Values& v) {
    for (std::int64_t m = 0; m < rows; ++m) {
      const std::int64_t b = m / candidates, length = packing.lengths[b];
      const auto first = static_cast<std::int64_t>(packing.offset[b]);
      if (length == 0) continue;
      Row score(length);
      for (std::int64_t j = 0; j < length; ++j)
        for (std::int64_t a = 0; a < keys; ++a) {
          const double x = v["k"][(first + j) * keys + a] + v["q"][m % candidates * keys + a];
          score[j] += v["w"][a] * (act == Activation::tanh ? std::tanh(x) : std::max(x, 0.0));
        }
      const std::int64_t best = std::ranges::max_element(score) - score.begin();
      const double max = score[best];
      double sum = 0;
      for (std::int64_t j = 0; j < length; ++j) {
        score[j] = attend == Attend::soft ? std::exp(score[j] - max) : j == best;
        sum += score[j];
      }
      for (std::int64_t j = 0; j < length; ++j)
        for (std::int64_t d = 0; d < width; ++d)
          v["z"][m * width + d] += score[j] / sum * v["v"][(first + j) * width + d];
    }
  });
  c.run("forward", [=](Context& ctx, Tensors& t) {
    candidate_attention(ctx, attend, act, t["z"], t["k"], t["q"], t["w"], t["v"], t["offset"]);
  });
  c.check();
}

SEQRANK_OP_TEST(CandidateAttention, MatchesReference) {
  for (Attend attend : {Attend::soft, Attend::hard})
    for (Activation act : {Activation::tanh, Activation::relu}) {
      for (const Packing& packing : packings())
        check_candidates(device, attend, act, packing, 3, 4, 5);
      check_candidates(device, attend, act, Packing({2, 35, 70}), 34, 33, 34);
      check_candidates(device, attend, act, Packing({4}), 0, 2, 3);
    }
}

// Of events that score the same the first is chosen, whichever lane has it.
SEQRANK_OP_TEST(CandidateAttention, HardTakesTheFirstOfEqualOnes) {
  Context ctx(device, 1);
  constexpr std::int64_t kEvents = 70;
  const auto make = [&](Shape shape, const Row& values) {
    Tensor tensor = ctx.empty(DType::f32, shape);
    set_values(ctx, tensor, values);
    return tensor;
  };
  Row k(kEvents, 0.0), v(kEvents);
  for (std::int64_t j : {5, 37, 64}) k[j] = 1;
  for (std::int64_t j = 0; j < kEvents; ++j) v[j] = static_cast<double>(j);
  Tensor z = ctx.empty(DType::f32, {1, 1}), offset = ctx.empty(DType::i32, {2});
  set_values(ctx, offset, {0, kEvents});
  candidate_attention(ctx, Attend::hard, Activation::relu, z, make({kEvents, 1}, k),
                      make({1, 1}, {0.5}), make({1}, {1}), make({kEvents, 1}, v), offset);
  EXPECT_EQ(get_values(ctx, z), Row({5}));
}

}  // namespace
}  // namespace seqrank
