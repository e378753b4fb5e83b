// interest_transfer besides what model_forms_test.cc checks of every model: what the transition
// does to the ranking.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/models/built_model.h"
#include "tests/support/packed_batch.h"

namespace seqrank {
namespace {

std::vector<float> scores(Context& ctx, Built& built) {
  const Batch batch = packed_batch(ctx, {{1, 2, 3, 4, 5}});
  Tensor score_BV = ctx.empty(DType::f32, {1, 11});
  built.model->score_next(ctx, batch, score_BV);
  const auto span = score_BV.span<float>();
  return {span.begin(), span.end()};
}

// The models have the same parameters, so that their scores differ by the bonus alone.
TEST(InterestTransfer, RecommendsByItemsByBothOrWithinTheLikeliestInterest) {
  Context ctx(Device::cpu, 1);
  std::map<std::string, std::vector<float>> by;
  for (const char* rule : {"items", "weighted", "within"}) {
    auto built = build(ctx, "interest_transfer", {{"model.recommend", rule}});
    by[rule] = scores(ctx, *built);
  }
  double sum = 0;
  std::vector<float> log_p(kPackedInterests);
  for (int v = 0; v < 11; ++v) {
    const float bonus = by["weighted"][v] - by["items"][v];
    if (v < kPackedInterests) {
      log_p[v] = bonus;
      sum += std::exp(bonus);
    }
    EXPECT_NEAR(bonus, log_p[packed_interest(v)], 1e-5) << v;
  }
  EXPECT_NEAR(sum, 1, 1e-5);
  const auto likeliest = std::ranges::max_element(log_p) - log_p.begin();
  for (int v = 0; v < 11; ++v)
    EXPECT_NEAR(by["within"][v] - by["items"][v], packed_interest(v) == likeliest ? 1e4 : 0, 1e-2);
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
