// What a recommendation rests on, from a model that says it: the score of item v is how often the
// history has it, and attention is by place.
#include "trainer/explain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "backend/check.h"
#include "data/dataset_writer.h"
#include "tests/support/scratch.h"

namespace seqrank {
namespace {

class CountingHistory final : public Model, public AttentionModel {
 public:
  void score_next(Context&, const Batch& batch, Tensor& score_BV) override {
    const std::int64_t items = score_BV.dim(1);
    std::ranges::fill(score_BV.span<float>(), 0.0f);
    const auto offset_B1 = batch.offset_B1.span<std::int32_t>();
    for (std::int64_t b = 0; b < batch.sequences; ++b)
      for (std::int64_t n = offset_B1[b]; n < offset_B1[b + 1]; ++n)
        ++score_BV.data<float>()[b * items + batch.item_N.span<std::int32_t>()[n]];
  }
  Tensor attention_weights(Context& ctx, const Batch& batch, const TapeHooks&) override {
    Tensor weight_N = ctx.empty(DType::f32, {batch.events});
    for (std::int64_t n = 0; n < batch.events; ++n)
      weight_N.data<float>()[n] = static_cast<float>(n);
    return weight_N;
  }
};

class Explain : public testing::Test {
 protected:
  Explain() {
    DatasetWriter writer(path_);
    writer.add_sequence(std::vector<std::int32_t>{3, 0, 2, 2, 4, 2}, {});
    writer.add_sequence(std::vector<std::int32_t>{1}, {});
    writer.add_user_key("ann");
    writer.add_user_key("bob");
    for (int i = 0; i < 5; ++i) writer.add_item_key("k" + std::to_string(i));
    for (int i = 0; i < 5; ++i) writer.add_item_title("Title " + std::to_string(i));
    writer.finish(5);
  }
  std::vector<Explanation> run(const std::string& user, std::optional<std::string> item,
                               std::int64_t max_length = 5) {
    const Dataset dataset = Dataset::open(path_);
    Context ctx(Device::cpu, 1);
    CountingHistory model;
    return explain(ctx, model, dataset, {user}, 2, item, {Split::test, Seen::kept, max_length});
  }

  test::Scratch temp_;
  std::string path_ = temp_.path() + "/data.h5";
};

TEST_F(Explain, EveryEventThatWasReadByItsEffectAndItsAttention) {
  const auto result = run("ann", std::nullopt);
  ASSERT_EQ(result.size(), 2u);
  const Explanation& best = result[0];
  EXPECT_EQ(best.item.key, "k2");
  EXPECT_EQ(best.item.score, 3.0f);
  EXPECT_EQ(best.rank, 1);
  ASSERT_EQ(best.events.size(), 5u);  // the first of the six was not read
  const double effects[] = {0, 1, 1, 0, 1};
  const char* keys[] = {"k0", "k2", "k2", "k4", "k2"};
  for (int e = 0; e < 5; ++e) {
    EXPECT_EQ(best.events[e].key, keys[e]);
    EXPECT_EQ(best.events[e].effect, effects[e]) << e;
    EXPECT_EQ(best.events[e].attention, e);
  }
  EXPECT_EQ(best.events[3].title, "Title 4");
  EXPECT_EQ(result[1].item.key, "k0");
  EXPECT_EQ(result[1].rank, 2);
}

TEST_F(Explain, AnItemThatIsAskedForByItsKey) {
  const auto result = run("ann", "k3", 6);
  ASSERT_EQ(result.size(), 1u);
  EXPECT_EQ(result[0].item.score, 1.0f);
  EXPECT_EQ(result[0].rank, 4);  // items 2, and 0 and 4, which score the same
  EXPECT_EQ(result[0].events[0].effect, 1);
  EXPECT_EQ(result[0].events[1].effect, 0);
}

TEST_F(Explain, WhatCannotBeExplainedIsNamed) {
  const auto message = [&](const std::string& user, const char* item) {
    try {
      run(user, item);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_THAT(message("eve", "k1"), testing::HasSubstr("no user eve"));
  EXPECT_THAT(message("ann", "k9"), testing::HasSubstr("--item=k9"));
  EXPECT_THAT(message("bob", "k1"), testing::HasSubstr("user bob has 1 events"));
}

}  // namespace
}  // namespace seqrank
