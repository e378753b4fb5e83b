// Explanations of click models against asking them by hand: the history without an event written
// as a data set of its own, that ends in the item one asks about.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backend/check.h"
#include "backend/transfer.h"
#include "data/click_windows.h"
#include "data/dataset_writer.h"
#include "tests/support/scratch.h"
#include "trainer/build_model.h"
#include "trainer/explain.h"

namespace seqrank {
namespace {

using Items = std::vector<std::int32_t>;

struct ClickCase {
  std::string model;
  std::map<std::string, std::string> settings;
  friend void PrintTo(const ClickCase& c, std::ostream* out) {
    *out << c.model << " " << testing::PrintToString(c.settings);
  }
};

class ExplainClicks : public testing::TestWithParam<ClickCase> {
 protected:
  static constexpr std::int64_t kItems = 7, kMaxLength = 5;

  ExplainClicks() {
    write("data.h5", {3, 0, 2, 2, 4, 6}, {1, 0, 0, 1, 1, 0});
    dataset_.emplace(Dataset::open(path("data.h5")));
    options_.declare(evaluate_options());
    options_.declare(model_options(GetParam().model));
    options_.set("data.max_length", std::to_string(kMaxLength), "test");
    options_.set("model.width", "8", "test");
    options_.set("model.item_scale", "0.7", "test");
    for (const auto& [key, value] : GetParam().settings) options_.set(key, value, "test");
    model_ = build_model(GetParam().model, options_, *dataset_, store_);
    store_.allocate(ctx_, 3);
  }

  std::string path(const std::string& name) const { return temp_.path() + "/" + name; }
  void write(const std::string& name, const Items& items, const std::vector<std::uint8_t>& labels) {
    DatasetWriter writer(path(name));
    writer.add_sequence(items, {});
    writer.append("/event/label", labels);
    writer.add_user_key("ann");
    Items kind;
    for (std::int32_t v = 0; v < kItems; ++v) kind.push_back(v % 3);
    writer.append("/item/feature/kind", kind);
    for (const char* value : {"unknown", "one", "two"})
      writer.append_text("/item/feature_values/kind", value);
    for (std::int32_t v = 0; v < kItems; ++v) writer.add_item_key("k" + std::to_string(v));
    writer.finish(kItems);
  }

  // The logit of a click on `item` after a history, from the data set of the two.
  double asked_by_hand(Items history, std::vector<std::uint8_t> labels, std::int32_t item) {
    const auto events = static_cast<std::int64_t>(history.size());
    history.push_back(item);
    labels.push_back(1 - labels.back());
    write("asked.h5", history, labels);
    const Dataset dataset = Dataset::open(path("asked.h5"));
    const ClickWindow window{{0, 0, events}, 1, 0};
    const Batch batch =
        click_batch(dataset, ctx_.host_arena(), std::span(&window, 1), kMaxLength, model_->needs());
    Tensor logit_N = ctx_.empty(DType::f32, {events});
    dynamic_cast<ClickModel&>(*model_).score_targets(ctx_, batch, logit_N);
    return logit_N.data<float>()[events - 1];
  }

  std::vector<Explanation> run(std::optional<std::string> item) {
    return explain(ctx_, *model_, *dataset_, {"ann"}, 2, item,
                   {Split::test, Seen::kept, kMaxLength});
  }

  test::Scratch temp_;
  Context ctx_{Device::cpu, 1};
  std::optional<Dataset> dataset_;
  Options options_;
  ParameterStore store_;
  std::unique_ptr<Model> model_;
};

TEST_P(ExplainClicks, AreLogitsOfTheItemAndWhatTheyLoseByAnEvent) {
  const Items history = {0, 2, 2, 4, 6};  // the first of the six is not read
  const std::vector<std::uint8_t> labels = {0, 0, 1, 1, 0};
  const bool ranks = dynamic_cast<ClickModel&>(*model_).ranks_catalogue();
  std::vector<Explanation> explanations = run("k1");
  ASSERT_EQ(explanations.size(), 1u);
  if (ranks)
    for (const Explanation& one : run(std::nullopt)) explanations.push_back(one);
  for (const Explanation& one : explanations) {
    const auto item = static_cast<std::int32_t>(one.item.item);
    EXPECT_NEAR(one.item.score, asked_by_hand(history, labels, item), 1e-5);
    std::int64_t better = 0;
    for (std::int32_t v = 0; v < kItems; ++v)
      better += v != item && asked_by_hand(history, labels, v) > one.item.score;
    EXPECT_EQ(one.rank, ranks ? better + 1 : 0);
    ASSERT_EQ(one.events.size(), history.size());
    for (std::size_t e = 0; e < history.size(); ++e) {
      Items others = history;
      auto their_labels = labels;
      others.erase(others.begin() + e);
      their_labels.erase(their_labels.begin() + e);
      EXPECT_EQ(one.events[e].key, "k" + std::to_string(history[e]));
      EXPECT_NEAR(one.events[e].effect, one.item.score - asked_by_hand(others, their_labels, item),
                  1e-5)
          << e;
    }
  }
}

TEST_P(ExplainClicks, ShowTheAttentionThatTheItemPays) {
  const auto explanations = run("k1"), others = run("k5");
  const auto& setting = GetParam().settings;
  const auto attention = setting.find("model.attention");
  const bool hard = attention != setting.end() && attention->second == "hard";
  double sum = 0, apart = 0;
  std::int64_t ones = 0;
  for (std::size_t e = 0; e < explanations[0].events.size(); ++e) {
    const auto weight = explanations[0].events[e].attention;
    if (attention != setting.end() && attention->second == "none") {
      EXPECT_FALSE(weight);
      continue;
    }
    ASSERT_TRUE(weight);
    sum += *weight;
    ones += *weight == 1;
    apart += std::abs(*weight - *others[0].events[e].attention);
  }
  if (attention != setting.end() && attention->second == "none") return;
  EXPECT_EQ(explanations[0].attention_is_shares, GetParam().model != "din");
  if (explanations[0].attention_is_shares) {
    EXPECT_NEAR(sum, 1, 1e-6);
  }
  if (hard) {
    EXPECT_EQ(ones, 1);
  } else {  // another item pays attention to other events, but where nothing asks about it
    EXPECT_EQ(apart > 1e-6, GetParam().model != "lstm_self_attention_click");
  }
}

TEST_P(ExplainClicks, AskForAnItemWhereNoneIsRanked) {
  if (dynamic_cast<ClickModel&>(*model_).ranks_catalogue()) GTEST_SKIP() << "it ranks all";
  try {
    run(std::nullopt);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_THAT(error.what(), testing::HasSubstr("--item is missing"));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Each, ExplainClicks,
    testing::Values(ClickCase{"target_attention", {}},
                    ClickCase{"target_attention", {{"model.attention", "hard"}}},
                    ClickCase{"target_attention", {{"model.attention", "none"}}},
                    ClickCase{"lstm_self_attention_click", {{"model.heads", "2"}}},
                    ClickCase{"din", {{"model.input", "position"}}},
                    ClickCase{"din", {{"model.target_input", "kind"}}}));

}  // namespace
}  // namespace seqrank
