// Lists of recommendations and groups of questions: by hand, and against numpy.
#include "trainer/list_measures.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "data/dataset_writer.h"
#include "tests/data/data_test_support.h"
#include "trainer/evaluate_lists.h"

namespace seqrank {
namespace {

TEST(ListMeasures, ByHand) {
  const std::vector<std::int32_t> best = {0, 1, 2, 0, 1, -1};  // two lists of three places
  const std::vector<std::int64_t> events = {6, 2, 0, 0};
  const std::vector<double> history = {3, 5};
  const std::vector<std::int32_t> category = {7, 7, 8, 8};
  const Metrics metrics = list_metrics({best, 3}, events, history, category);
  EXPECT_DOUBLE_EQ(metrics.at("coverage@3"), 0.75);
  // Times in lists 0, 1, 2, 2: (-3 * 0 - 1 * 1 + 1 * 2 + 3 * 2) / (4 * 5).
  EXPECT_DOUBLE_EQ(metrics.at("gini@3"), 7. / 20);
  EXPECT_NEAR(metrics.at("novelty@3"),
              -(2 * std::log2(7. / 12) + 2 * std::log2(3. / 12) + std::log2(1. / 12)) / 5, 1e-14);
  EXPECT_DOUBLE_EQ(metrics.at("popularity_lift@3"), (8. / 3 + 4) / 8 - 1);
  EXPECT_DOUBLE_EQ(metrics.at("diversity@3"), (2. / 3 + 0) / 2);
  EXPECT_FALSE(list_metrics({best, 3}, events, history, {}).contains("diversity@3"));
}

TEST(ListMeasures, BucketsGoOneTwoFive) {
  const std::vector<std::int64_t> values = {0, 1, 4, 2, 5, 49, 50, 99, 100, 0};
  std::vector<std::string> found;
  for (const Bucket& bucket : buckets(values))
    found.push_back(fmt::format("{}-{}: {}", bucket.first, bucket.last, bucket.questions.size()));
  EXPECT_EQ(found, (std::vector<std::string>{"0-0: 2", "1-1: 1", "2-4: 2", "5-9: 1", "20-49: 1",
                                             "50-99: 2", "100-199: 1"}));
  EXPECT_TRUE(buckets({}).empty());
}

TEST(ListMeasures, KnowsWhatTheProtocolLeavesForTraining) {
  test::Scratch scratch;
  DatasetWriter writer(scratch.file("a.h5"));
  writer.add_sequence(std::vector<std::int32_t>{0, 0, 1, 2}, std::vector<std::int64_t>{1, 2, 3, 8});
  writer.add_sequence(std::vector<std::int32_t>{1, 1, 0}, std::vector<std::int64_t>{5, 8, 9});
  writer.add_sequence(std::vector<std::int32_t>{2}, std::vector<std::int64_t>{9});
  writer.finish(3);
  const Dataset dataset = Dataset::open(scratch.file("a.h5"));
  const Protocol protocol(dataset,
                          {.kind = ProtocolKind::temporal, .validation_from = 5, .test_from = 8});
  const Known known = known_of(Questions(protocol, Split::test));
  EXPECT_EQ(known.history_Q, (std::vector<std::int64_t>{3, 1}));
  EXPECT_EQ(known.target_events_Q, (std::vector<std::int64_t>{0, 1}));  // items 2 and 1
  // Training has item 0 twice and 1 once; the new person asks for item 2.
  EXPECT_EQ(known.new_people_rank, (std::vector<std::int32_t>{3}));
  EXPECT_EQ(known_of(Questions(protocol, Split::validation)).new_people_rank,
            (std::vector<std::int32_t>{2}));
}

// The same from numpy's own operations, on random lists of any length up to ten.
constexpr const char* kNumpy = R"(
import itertools, json, numpy as np
x = json.load(open("FILE"))
best, events, history, category = (np.array(x[n]) for n in ("best", "events", "history", "category"))
lists = [row[row >= 0] for row in best.reshape(-1, 10)]
places = np.concatenate(lists)
times = np.bincount(places, minlength=len(events)).astype(float)
m = {"coverage@10": np.unique(places).size / len(events)}
# Half the mean difference of all pairs, by the mean.
m["gini@10"] = np.abs(times[:, None] - times[None]).mean() / 2 / times.mean()
m["novelty@10"] = -np.log2((events[places] + 1) / (events + 1).sum()).mean()
of_list = np.array([events[row].mean() if row.size else 0 for row in lists])
m["popularity_lift@10"] = of_list.mean() / history.mean() - 1
m["diversity@10"] = np.mean([np.mean([category[a] != category[b] for a, b in
                                      itertools.combinations(row, 2)])
                             for row in lists if row.size > 1])
print(json.dumps(m))
)";

TEST(ListMeasures, AgreeWithNumpy) {
  test::Scratch scratch;
  std::string out;
  if (test::run(SEQRANK_PYTHON " -c 'import numpy'", out) != 0) GTEST_SKIP() << "no numpy";
  std::mt19937 random(2);
  constexpr std::size_t kItems = 60, kQuestions = 40, kListed = 10;
  std::vector<std::int64_t> events(kItems);
  std::vector<std::int32_t> category(kItems), items(kItems), best;
  for (std::size_t v = 0; v < kItems; ++v) {
    events[v] = static_cast<std::int64_t>(random() % 100 * (v % 7 != 0));
    category[v] = static_cast<std::int32_t>(random() % 5);
    items[v] = static_cast<std::int32_t>(v);
  }
  std::vector<double> history;
  for (std::size_t q = 0; q < kQuestions; ++q) {
    std::shuffle(items.begin(), items.begin() + 40, random);  // the others are in no list
    const std::size_t length = q < 12 ? q : kListed;          // empty, one, ... , ten
    for (std::size_t i = 0; i < kListed; ++i) best.push_back(i < length ? items[i] : -1);
    history.push_back(static_cast<double>(random() % 1000) / 8);
  }
  const nlohmann::json input = {
      {"best", best}, {"events", events}, {"history", history}, {"category", category}};
  std::ofstream(scratch.file("in.json")) << input.dump();
  std::string program = kNumpy;
  program.replace(program.find("FILE"), 4, scratch.file("in.json"));
  ASSERT_EQ(test::run_python(program, scratch, out), 0) << out;
  const auto expected = nlohmann::json::parse(out);
  const Metrics found = list_metrics({best, kListed}, events, history, category);
  ASSERT_EQ(found.size(), expected.size());
  for (const auto& [name, value] : found)
    EXPECT_NEAR(value, expected.at(name).get<double>(), 1e-12) << name;
}

}  // namespace
}  // namespace seqrank
