// Measures against examples worked by hand, and against numpy where Python has it.
#include "trainer/measures.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <random>

#include "tests/data/data_test_support.h"
#include "trainer/comparison.h"

namespace seqrank {
namespace {

TEST(Measures, OfRanksByHand) {
  const Metrics metrics = ranking_metrics(std::vector<std::int32_t>{1, 3, 7, 40});
  EXPECT_DOUBLE_EQ(metrics.at("hr@5"), 0.5);
  EXPECT_DOUBLE_EQ(metrics.at("ndcg@5"), (1 + 0.5) / 4);
  EXPECT_DOUBLE_EQ(metrics.at("mrr@10"), (1 + 1. / 3 + 1. / 7) / 4);
  EXPECT_DOUBLE_EQ(metrics.at("precision@5"), 0.1);
  EXPECT_DOUBLE_EQ(metrics.at("f1@5"), 2 * (2. / 6) / 4);  // 1/5 and 1 give 1/3, twice in four
  EXPECT_DOUBLE_EQ(metrics.at("accuracy"), 0.25);
}

TEST(Measures, AucCountsPairsAndHalvesTies) {
  const std::vector<float> score = {0.1f, 0.4f, 0.4f, 0.4f, 0.8f};
  const std::vector<std::uint8_t> label = {0, 0, 1, 0, 1};
  // Pairs: 0.4 beats 0.1, ties with two; 0.8 beats three.
  EXPECT_DOUBLE_EQ(auc(score, label).value(), (1 + 0.5 * 2 + 3) / 6);
  EXPECT_FALSE(auc(score, std::vector<std::uint8_t>(5, 1)));
  EXPECT_FALSE(auc(score, std::vector<std::uint8_t>(5, 0)));
  EXPECT_DOUBLE_EQ(auc(std::vector<float>(5, 0.f), label).value(), 0.5);
}

TEST(Measures, OfClicksByHand) {
  const std::vector<float> logit = {1, -1, 2, 0.5f, -3, 4};
  const std::vector<std::uint8_t> label = {1, 0, 0, 1, 1, 1};
  const std::vector<std::int64_t> user = {5, 5, 5, 8, 8, 9};  // the last two have one label each
  const Metrics metrics = click_metrics(logit, label, user);
  EXPECT_DOUBLE_EQ(metrics.at("auc"), (1 + 1 + 0 + 2) / 8.);
  EXPECT_DOUBLE_EQ(metrics.at("auc_per_user"), 0.5);
  EXPECT_DOUBLE_EQ(metrics.at("accuracy"), 4. / 6);
  EXPECT_DOUBLE_EQ(metrics.at("f1"), 2 * 0.75 * 0.75 / 1.5);  // 3 of 4 guessed, 3 of 4 found
  EXPECT_DOUBLE_EQ(metrics.at("positive_share"), 4. / 6);
  EXPECT_NEAR(log_loss(1, true), std::log(1 + std::exp(-1.0)), 1e-15);
  EXPECT_NEAR(log_loss(1, false), std::log(1 + std::exp(1.0)), 1e-15);
  EXPECT_DOUBLE_EQ(log_loss(-800, true), 800);
  EXPECT_EQ(log_loss(800, true), 0);
}

Evaluation ranked(const std::vector<std::int32_t>& rank_Q) {
  Evaluation result;
  result.sequence_Q = {0, 0, 3, 4};
  result.rank_Q = rank_Q;
  result.metrics = ranking_metrics(rank_Q);
  return result;
}

TEST(Comparison, PairsPeopleAfterTheMeanOverSeeds) {
  const Evaluation a1 = ranked({1, 3, 1, 20}), a2 = ranked({1, 3, 3, 20}), b = ranked({3, 3, 1, 1});
  // Values are 1 at rank 1 and 0.5 at 3. People: (1 + .5) / 2, (1 + .5) / 2 over seeds, 0.
  const auto a = mean_values({&a1, &a2}, "ndcg@10");
  EXPECT_EQ(a, (std::vector<double>{0.75, 0.75, 0}));
  const Ahead ahead = paired_difference("ndcg@10", a, values_of_people(b, "ndcg@10"));
  EXPECT_EQ(ahead.people, 3);
  EXPECT_DOUBLE_EQ(ahead.mean, (0.25 - 0.25 - 1) / 3);
  const double m = -1. / 3;  // sum of squares about it, over n - 1, over n
  const double variance =
      (std::pow(0.25 - m, 2) + std::pow(-0.25 - m, 2) + std::pow(-1 - m, 2)) / 2;
  EXPECT_NEAR(ahead.standard_error, std::sqrt(variance / 3), 1e-15);
  EXPECT_NEAR(ahead.standard_errors(), ahead.mean / std::sqrt(variance / 3), 1e-12);
  const Spread two = spread({&a1, &a2}, "hr@1");
  EXPECT_DOUBLE_EQ(two.mean, 0.375);
  EXPECT_DOUBLE_EQ(two.deviation, std::sqrt(2 * 0.125 * 0.125));
  EXPECT_EQ(spread({&b}, "hr@1").deviation, 0);
}

TEST(Comparison, ClicksLeaveOutPeopleWithOneLabel) {
  Evaluation a;
  a.sequence_Q = {1, 1, 2, 2};
  a.label_Q = {0, 1, 1, 1};
  a.logit_Q = {0, 1, 0, 0};
  Evaluation b = a;
  b.logit_Q = {1, 0, 0, 2};
  EXPECT_EQ(compared_metrics(a), (std::vector<std::string>{"auc_per_user", "log_loss_gain"}));
  const auto compare = [&](const std::string& metric) {
    return paired_difference(metric, values_of_people(a, metric), values_of_people(b, metric));
  };
  EXPECT_EQ(compare("auc_per_user").people, 1);
  EXPECT_DOUBLE_EQ(compare("auc_per_user").mean, 1);
  EXPECT_EQ(compare("log_loss_gain").people, 2);
  const double first =
      log_loss(1, false) - log_loss(0, false) + log_loss(0, true) - log_loss(1, true);
  const double second = log_loss(2, true) - log_loss(0, true);
  EXPECT_NEAR(compare("log_loss_gain").mean, (first / 2 + second / 2) / 2, 1e-15);
}

// The same from numpy's own operations, on random input with ties.
constexpr const char* kNumpy = R"(
import json, numpy as np
x = json.load(open("FILE"))
rank, m = np.array(x["rank"], float), {}
for k in (1, 5, 10, 20):
    hit = rank <= k
    m[f"hr@{k}"] = hit.mean()
    m[f"ndcg@{k}"] = np.where(hit, 1 / np.log2(rank + 1), 0).mean()
    m[f"mrr@{k}"] = np.where(hit, 1 / rank, 0).mean()
    p, r = hit / k, hit.astype(float)
    m[f"precision@{k}"] = p.mean()
    m[f"f1@{k}"] = np.where(hit, 2 * p * r / np.maximum(p + r, 1e-9), 0).mean()
m["accuracy"] = (rank == 1).mean()
logit, label, user = (np.array(x[n]) for n in ("logit", "label", "user"))
def auc(s, y):
    d = s[y == 1][:, None] - s[y == 0][None]
    return ((d > 0) + 0.5 * (d == 0)).mean()
m["auc"] = auc(logit, label)
each = [(logit[user == u], label[user == u]) for u in np.unique(user)]
m["auc_per_user"] = np.mean([auc(s, y) for s, y in each if 0 < y.mean() < 1])
p = 1 / (1 + np.exp(-logit))
m["log_loss"] = -np.where(label == 1, np.log(p), np.log(1 - p)).mean()
guess = p > 0.5
m["positive_share"] = label.mean()
m["f1"] = 2 * (guess & (label == 1)).sum() / (guess.sum() + label.sum())
m["click_accuracy"] = (guess == label).mean()
print(json.dumps(m))
)";

TEST(Measures, AgreeWithNumpy) {
  test::Scratch scratch;
  std::string out;
  if (test::run(SEQRANK_PYTHON " -c 'import numpy'", out) != 0) GTEST_SKIP() << "no numpy";
  std::mt19937 random(1);
  std::vector<std::int32_t> rank(500);
  for (auto& r : rank) r = 1 + static_cast<std::int32_t>(random() % 40);
  std::vector<float> logit(700);
  std::vector<std::uint8_t> label(700);
  std::vector<std::int64_t> user(700);
  for (std::size_t i = 0; i < logit.size(); ++i) {
    logit[i] = static_cast<float>(random() % 33) / 4 - 4;  // ties, and exact zeros
    label[i] = random() % 8 < 3 + (logit[i] > 0) * 2;
    user[i] = static_cast<std::int64_t>(i / 9);
  }
  nlohmann::json input = {{"rank", rank}, {"logit", logit}, {"label", label}, {"user", user}};
  std::ofstream(scratch.file("in.json")) << input.dump();
  std::string program = kNumpy;
  program.replace(program.find("FILE"), 4, scratch.file("in.json"));
  ASSERT_EQ(test::run_python(program, scratch, out), 0) << out;
  const auto expected = nlohmann::json::parse(out);
  Metrics found = ranking_metrics(rank);
  for (const auto& [name, value] : click_metrics(logit, label, user))
    found[name == "accuracy" ? "click_accuracy" : name] = value;
  ASSERT_EQ(found.size(), expected.size());
  for (const auto& [name, value] : found)
    EXPECT_NEAR(value, expected.at(name).get<double>(), 1e-12) << name;
}

}  // namespace
}  // namespace seqrank
