// interest_transfer besides what model_forms_test.cc checks of every model: what the transition
// does to the ranking.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "tests/models/built_model.h"
#include "tests/support/packed_batch.h"

namespace seqrank {
namespace {

constexpr int kItems = 500;

std::unique_ptr<Built> build_ranking(Context& ctx, const std::string& rule) {
  return build(ctx, "interest_transfer", {{"model.recommend", rule}}, kItems);
}

// The models have the same parameters, so that their scores differ by what the rule does alone.
std::vector<float> scores(Context& ctx, Built& built) {
  const Batch batch = packed_batch(ctx, {{1, 2, 3, 4, 5}});
  Tensor score_BV = ctx.empty(DType::f32, {1, kItems});
  built.model->score_next(ctx, batch, score_BV);
  const auto span = score_BV.span<float>();
  return {span.begin(), span.end()};
}

std::vector<float> scores_by(Context& ctx, const std::string& rule) {
  return scores(ctx, *build_ranking(ctx, rule));
}

TEST(InterestTransfer, WeightedAddsLogPOfKnownInterests) {
  Context ctx(Device::cpu, 1);
  const auto items = scores_by(ctx, "items"), weighted = scores_by(ctx, "weighted");
  std::vector<float> log_p(kPackedInterests);
  for (int v = 0; v < kItems; ++v) {
    const float bonus = weighted[v] - items[v];
    if (v < kPackedInterests) log_p[v] = bonus;
    EXPECT_NEAR(bonus, log_p[packed_interest(v)], 1e-5) << v;
  }
  double sum = 0;
  for (int i = 1; i < kPackedInterests; ++i) sum += std::exp(log_p[i]);
  EXPECT_NEAR(sum, 1, 1e-5);
  EXPECT_NEAR(log_p[0], -std::log(kPackedInterests - 1), 1e-5);  // unknown: as one on the average
}

// Items that score as another one does, but one of each such group.
int ties(std::vector<float> score_V) {
  std::ranges::sort(score_V);
  int pairs = 0;
  for (std::size_t i = 1; i < score_V.size(); ++i) pairs += score_V[i] == score_V[i - 1];
  return pairs;
}

TEST(InterestTransfer, WithinKeepsTheOrderOfItemsInsideAndOutsideTheLikeliestInterest) {
  Context ctx(Device::cpu, 1);
  const auto items = scores_by(ctx, "items"), weighted = scores_by(ctx, "weighted");
  const auto within = scores_by(ctx, "within");
  const auto bonus = [&](int interest) { return weighted[interest] - items[interest]; };
  const int likeliest = bonus(1) > bonus(2) ? 1 : 2;
  const auto wins = [&](int v) { return packed_interest(v) == likeliest; };
  int crossed = 0;  // or there would be nothing to move
  for (int v = 0; v < kItems; ++v) {
    EXPECT_TRUE(!wins(v) || within[v] == items[v]) << v;
    for (int w = 0; w < kItems; ++w) {
      const bool before = wins(v) == wins(w) ? items[v] > items[w] : wins(v);
      ASSERT_EQ(within[v] > within[w], before) << v << " and " << w;
      crossed += wins(v) && !wins(w) && items[v] < items[w];
    }
  }
  EXPECT_GT(crossed, 0);
  EXPECT_EQ(ties(within), ties(items));
}

// Unknown is no answer, however likely its row of the transition says that it is.
TEST(InterestTransfer, NeverRecommendsTheUnknownInterest) {
  Context ctx(Device::cpu, 1);
  for (const char* rule : {"weighted", "within"}) {
    const auto expected = scores_by(ctx, rule);
    for (const float factor : {1000.0f, -1000.0f}) {  // of row 1: one of them has a large logit
      auto built = build_ranking(ctx, rule);
      for (Parameter& p : built->store.parameters()) {
        if (p.name != "transition.next") continue;
        const auto next_ID = p.value().span<float>();
        const std::int64_t width = p.shape[1];
        for (std::int64_t d = 0; d < width; ++d) next_ID[d] = factor * next_ID[width + d];
      }
      EXPECT_EQ(scores(ctx, *built), expected) << rule;
    }
  }
}

// Losses of interests besides the one of items, by weights of interests that come next and of the
// transition, once `change` has made them independent of the context.
double loss_of_interests(Context& ctx, const Batch& batch, const char* ahead, const char* next,
                         const std::function<void(Parameter&)>& change) {
  const auto loss_with = [&](const char* interest_weight, const char* transition_weight) {
    auto built = build(ctx, "interest_transfer",
                       {{"model.interest_weight", interest_weight},
                        {"model.transition_weight", transition_weight},
                        {"model.dropout", "0"}});
    for (Parameter& p : built->store.parameters()) change(p);
    return loss_of(ctx, *built, batch);
  };
  return loss_with(ahead, next) - loss_with("0", "0");
}

const std::vector<std::vector<int>> kSequences = {{1, 2, 3, 4, 6}, {7, 3, 9}, {5, 0, 8, 10, 2}};

// The labels by hand: of event i of a sequence, the known interests of its next two items.
TEST(InterestTransfer, LearnsNextInterestsThatAreKnown) {
  Context ctx(Device::cpu, 1);
  const std::vector<double> logit = {3, -1, 0.5};
  double expected = 0;
  std::int64_t targets = 0;
  for (const auto& s : kSequences) {
    for (std::size_t i = 0; i + 1 < s.size(); ++i, ++targets) {
      std::vector<double> label(kPackedInterests, 0);
      for (std::size_t j = i + 1; j < std::min(i + 1 + kPackedAhead, s.size()); ++j)
        if (s[j] % kPackedInterests != 0) label[s[j] % kPackedInterests] = 1;
      for (int k = 0; k < kPackedInterests; ++k)
        expected += std::log1p(std::exp(logit[k])) - label[k] * logit[k];
    }
  }
  expected /= static_cast<double>(targets * kPackedInterests);
  const auto change = [&](Parameter& p) {
    const auto value = p.value().span<float>();
    if (p.name == "interest.label.w") std::ranges::fill(value, 0.0f);
    if (p.name == "interest.label.b") std::ranges::copy(logit, value.begin());
  };
  const Batch batch = packed_batch(ctx, kSequences);
  EXPECT_NEAR(loss_of_interests(ctx, batch, "2", "0", change), 2 * expected, 1e-5);
}

// p(y | y_t) from the interest y_t alone, over targets whose interest is known.
TEST(InterestTransfer, LearnsTransitionsToKnownInterests) {
  Context ctx(Device::cpu, 1);
  double expected = 0;
  std::int64_t targets = 0;
  const auto change = [](Parameter& p) {  // logit of y after x: (x + 1) * (y - 1)
    const auto value = p.value().span<float>();
    if (p.name != "transition.from" && p.name != "transition.next") return;
    std::ranges::fill(value, 0.0f);
    const std::int64_t width = p.shape[1];
    for (int i = 0; i < kPackedInterests; ++i)
      if (p.name == "transition.from")
        value[i * width] = static_cast<float>(i + 1);
      else
        value[i * width + width / 2] = static_cast<float>(i - 1);
  };
  for (const auto& s : kSequences) {
    for (std::size_t i = 0; i + 1 < s.size(); ++i, ++targets) {
      const int from = s[i] % kPackedInterests + 1, to = s[i + 1] % kPackedInterests;
      if (to == 0) continue;
      double sum = 0;
      for (int y = 0; y < kPackedInterests; ++y) sum += std::exp(from * (y - 1));
      expected += std::log(sum) - from * (to - 1);
    }
  }
  const Batch batch = packed_batch(ctx, kSequences);
  EXPECT_NEAR(loss_of_interests(ctx, batch, "0", "3", change),
              3 * expected / static_cast<double>(targets), 1e-5);
}

TEST(InterestTransfer, NamesTheFeatureThatItemsDoNotHave) {
  Context ctx(Device::cpu, 1);
  try {
    build(ctx, "interest_transfer", {{"model.interest", "taste"}});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.exit_code(), 2);
    EXPECT_NE(std::string(error.what()).find("--model.interest=taste"), std::string::npos);
  }
}

}  // namespace
}  // namespace seqrank
