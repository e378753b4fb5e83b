// Synthetic data against its own claim: the stored optimum is what the true distribution gives.
#include "data/synth.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "data/dataset.h"
#include "data/synth_model.h"
#include "tests/data/data_test_support.h"

namespace seqrank {
namespace {

using test::Scratch;

SynthOptions small(const Scratch& scratch) {
  return {.output = scratch.file("s.h5"),
          .items = 53,
          .sequences = 4000,
          .length = 12,
          .clusters = 5,
          .seed = 3};
}

// Straight from probability(): all items ranked, nothing taken from find_best().
TEST(SynthModel, BestIsRankingByProbability) {
  SynthOptions options{.output = "", .items = 53, .clusters = 5};
  for (const double zipf : {0.0, 1.0, 2.5}) {
    options.zipf = zipf;
    const SynthModel model(options);
    for (std::int64_t cluster = 0; cluster < options.clusters; ++cluster) {
      std::vector<double> p;
      for (std::int64_t item = 0; item < options.items; ++item)
        p.push_back(model.probability(cluster, item));
      EXPECT_NEAR(std::accumulate(p.begin(), p.end(), 0.0), 1, 1e-12);
      std::sort(p.begin(), p.end(), std::greater<>());
      double ndcg = 0, hr = 0;
      for (int place = 0; place < 10; ++place) {
        hr += p[place];
        ndcg += p[place] / std::log2(place + 2);
      }
      EXPECT_NEAR(model.best_after(cluster).ndcg, ndcg, 1e-12);
      EXPECT_NEAR(model.best_after(cluster).hr, hr, 1e-12);
    }
  }
}

TEST(SynthModel, DrawsFollowTheProbabilities) {
  const SynthOptions options{.output = "", .items = 23, .length = 40, .clusters = 4};
  const SynthModel model(options);
  std::vector<std::vector<double>> count(4, std::vector<double>(23));
  std::vector<std::int32_t> items;
  for (std::int64_t s = 0; s < 5000; ++s) {
    model.draw(s, items);
    for (std::size_t t = 1; t < items.size(); ++t)
      ++count[model.cluster_of(items[t - 1])][items[t]];
  }
  for (std::int64_t cluster = 0; cluster < 4; ++cluster) {
    const double all = std::accumulate(count[cluster].begin(), count[cluster].end(), 0.0);
    for (std::int64_t item = 0; item < 23; ++item) {
      const double p = model.probability(cluster, item);
      EXPECT_NEAR(count[cluster][item] / all, p, 5 * std::sqrt(p * (1 - p) / all) + 1e-9)
          << "item " << item << " after cluster " << cluster;
    }
  }
}

TEST(Synth, WritesADataSetWithItsOptimum) {
  Scratch scratch;
  const SynthOptions options = small(scratch);
  const SynthReport report = synth(options);
  const Dataset dataset = Dataset::open(options.output);
  EXPECT_EQ(dataset.sequences(), 4000);
  EXPECT_EQ(dataset.items(), 53);
  EXPECT_EQ(dataset.events(), 48000);
  EXPECT_EQ(dataset.attributes().at("best_ndcg@10"), report.best_ndcg_10);
  EXPECT_EQ(dataset.attributes().at("best_hr@10"), report.best_hr_10);
  EXPECT_EQ(dataset.attributes().at("oracle_ndcg@10"), report.oracle_ndcg_10);
  EXPECT_GT(report.best_ndcg_10, 0.3);
  EXPECT_LT(report.best_hr_10, 1.0);
  // The drawn targets scatter around the expectation.
  EXPECT_NEAR(report.oracle_hr_10, report.best_hr_10, 5 * 0.5 / std::sqrt(4000.0));
  EXPECT_NEAR(report.oracle_ndcg_10, report.best_ndcg_10, 5 * 0.5 / std::sqrt(4000.0));
}

// Ids fall in frequency, and item keys lead back to the model: the oracle's score is recomputed
// from the file alone.
TEST(Synth, OracleScoreFollowsFromTheFile) {
  Scratch scratch;
  const SynthOptions options = small(scratch);
  const SynthReport report = synth(options);
  const Dataset dataset = Dataset::open(options.output);
  const SynthModel model(options);
  std::vector<std::int64_t> provisional;
  for (std::int64_t item = 0; item < dataset.items(); ++item) {
    int cluster = 0, place = 0;
    ASSERT_EQ(std::sscanf(dataset.item_key(item).c_str(), "c%d-%d", &cluster, &place), 2);
    provisional.push_back(model.begin_of(cluster) + place);
  }
  std::vector<std::int64_t> count(53);
  std::vector<std::int32_t> items(12);
  double hits = 0;
  for (std::int64_t s = 0; s < dataset.sequences(); ++s) {
    dataset.read_items(dataset.begin(s), items);
    for (const std::int32_t item : items) ++count[item];
    const auto& top = model.best_after(model.cluster_of(provisional[items[10]])).top;
    hits += std::count(top.begin(), top.end(), provisional[items[11]]);
  }
  EXPECT_TRUE(std::is_sorted(count.begin(), count.end(), std::greater<>()));
  EXPECT_NEAR(hits / 4000, report.oracle_hr_10, 1e-12);
}

TEST(Synth, SameSeedSameContent) {
  Scratch scratch;
  SynthOptions options = small(scratch);
  options.sequences = 100;
  synth(options);
  const std::string first = Dataset::open(options.output).fingerprint();
  synth(options);
  EXPECT_EQ(Dataset::open(options.output).fingerprint(), first);
  options.seed = 4;
  synth(options);
  EXPECT_NE(Dataset::open(options.output).fingerprint(), first);
}

TEST(Synth, RefusesImpossibleOptions) {
  Scratch scratch;
  const SynthOptions good = small(scratch);
  const auto expect_refused = [&](auto change) {
    SynthOptions options = good;
    change(options);
    SR_EXPECT_ERROR(synth(options), ErrorKind::usage, "synth: ");
  };
  expect_refused([](SynthOptions& o) { o.items = 0; });
  expect_refused([](SynthOptions& o) { o.clusters = 54; });
  expect_refused([](SynthOptions& o) { o.sequences = 0; });
  expect_refused([](SynthOptions& o) { o.length = -1; });
  expect_refused([](SynthOptions& o) { o.zipf = -0.1; });
  expect_refused([](SynthOptions& o) { o.concentration = 0; });
  EXPECT_TRUE(std::filesystem::is_empty(scratch.path()));
}

}  // namespace
}  // namespace seqrank
