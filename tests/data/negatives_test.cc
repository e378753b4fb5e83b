// Drawn items: by which chances, the same on all ranks and after a seek, and how often they are
// said to be expected.
#include "data/negatives.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "backend/philox.h"
#include "data/dataset_writer.h"
#include "data/loader.h"
#include "tests/data/data_test_support.h"

namespace seqrank {
namespace {

using test::Scratch;

template <class T>
std::vector<T> values(const Tensor& tensor) {
  return {tensor.span<T>().begin(), tensor.span<T>().end()};
}

// Item v is a training target of v sequences; 12 is none, and none is what a sequence begins with.
constexpr std::int32_t kItems = 13;
Dataset triangular(const Scratch& scratch) {
  const std::string path = scratch.file("a.h5");
  DatasetWriter writer(path);
  for (std::int32_t v = 1; v < 12; ++v)
    for (std::int32_t i = 0; i < v; ++i)
      writer.add_sequence(std::vector<std::int32_t>{0, v, 12, 12}, {});
  writer.finish(kItems);
  return Dataset::open(path);
}
constexpr double kTargets = 66;

LoaderOptions options_of(std::int64_t count, Sampler sampler, std::int64_t batch = 10) {
  LoaderOptions options{.seed = 3, .global_batch = batch, .max_length = 5};
  options.needs.negatives = {count, sampler};
  return options;
}

TEST(AliasTable, ColumnsAddUpToTheWeights) {
  for (const std::vector<double>& weights :
       {std::vector<double>{1}, {0, 3}, {1, 2, 3, 4}, {5, 0, 0, 0, 1e-3}, {1, 1, 1}}) {
    Arena arena;
    const AliasTable table(arena, weights);
    ASSERT_EQ(table.size(), static_cast<std::int64_t>(weights.size()));
    constexpr int kCoins = 4096;
    std::vector<double> share(weights.size());
    double sum = 0;
    for (double weight : weights) sum += weight;
    for (std::int64_t column = 0; column < table.size(); ++column)
      for (int coin = 0; coin < kCoins; ++coin)
        share[table.draw(column, (coin + 0.5) / kCoins)] +=
            1.0 / kCoins / static_cast<double>(weights.size());
    for (std::size_t v = 0; v < weights.size(); ++v)
      EXPECT_NEAR(share[v], weights[v] / sum, 1.0 / kCoins) << v;
  }
}

// Within five standard deviations of what log_q says.
TEST(NegativeSampler, DrawsAsOftenAsItSays) {
  Scratch scratch;
  const Dataset dataset = triangular(scratch);
  for (Sampler sampler : {Sampler::uniform, Sampler::frequency}) {
    Arena arena;
    constexpr std::int64_t kDraws = 2000, kSteps = 20;
    TrainLoader loader(Protocol(dataset), arena, options_of(kDraws, sampler));
    std::map<std::int32_t, double> drawn, expected;
    for (int step = 0; step < kSteps; ++step) {
      const Batch batch = loader.next();
      const auto items = values<std::int32_t>(batch.negative_S);
      ASSERT_EQ(items.size(), static_cast<std::size_t>(kDraws));
      for (std::size_t i = 0; i < items.size(); ++i) {
        ++drawn[items[i]];
        expected[items[i]] = kSteps * std::exp(batch.negative_log_q_S.data<float>()[i]);
      }
    }
    for (std::int32_t v = 0; v < kItems; ++v) {
      const double targets = v == 12 ? 0 : v;
      const double share =
          sampler == Sampler::uniform ? 1.0 / kItems : (1 + targets) / (kTargets + kItems);
      EXPECT_NEAR(expected[v], kSteps * kDraws * share, 1e-2) << v;
      EXPECT_NEAR(drawn[v], expected[v], 5 * std::sqrt(expected[v])) << v;
    }
  }
}

TEST(NegativeSampler, DistinctTakesNoItemTwice) {
  Scratch scratch;
  const Dataset dataset = triangular(scratch);
  for (const std::int64_t count : {1, 5, 1000}) {
    Arena arena;
    TrainLoader loader(Protocol(dataset), arena, options_of(count, Sampler::distinct));
    constexpr int kSteps = 2000;
    const auto draws = std::min<std::int64_t>(count, kItems);
    std::map<std::int32_t, double> drawn;
    for (int step = 0; step < kSteps; ++step) {
      const Batch batch = loader.next();
      const auto items = values<std::int32_t>(batch.negative_S);
      ASSERT_EQ(std::ssize(items), draws);
      ASSERT_EQ(std::ssize(std::set<std::int32_t>(items.begin(), items.end())), draws);
      for (std::size_t i = 0; i < items.size(); ++i) {
        ++drawn[items[i]];
        ASSERT_NEAR(std::exp(batch.negative_log_q_S.data<float>()[i]),
                    static_cast<double>(draws) / kItems, 1e-5);
      }
    }
    const double expected = static_cast<double>(kSteps * draws) / kItems;
    for (std::int32_t v = 0; v < kItems; ++v)
      EXPECT_NEAR(drawn[v], expected, 5 * std::sqrt(expected)) << count << ", " << v;
  }
}

TEST(NegativeSampler, InBatchTakesTargetsOfTheGlobalBatchEachOnce) {
  Scratch scratch;
  const Dataset dataset = triangular(scratch);
  for (const std::int64_t count : {6, 10, 1000}) {
    Arena arena;
    TrainLoader loader(Protocol(dataset), arena, options_of(count, Sampler::in_batch));
    std::set<std::vector<std::int32_t>> drawn;
    for (std::int64_t step = 0; step < loader.steps_per_epoch(); ++step) {
      const Batch batch = loader.next();
      auto targets = values<std::int32_t>(batch.target_N);
      auto items = values<std::int32_t>(batch.negative_S);
      const auto draws = std::min<std::int64_t>(count, batch.global_targets);
      ASSERT_EQ(static_cast<std::int64_t>(items.size()), draws);
      for (std::size_t i = 0; i < items.size(); ++i)
        EXPECT_NEAR(std::exp(batch.negative_log_q_S.data<float>()[i]),
                    static_cast<double>(draws) * items[i] / kTargets, 1e-4);
      std::ranges::sort(targets);
      std::ranges::sort(items);
      EXPECT_TRUE(std::ranges::includes(targets, items));
      drawn.insert(items);
    }
    EXPECT_GT(drawn.size(), 3u);
  }
}

TEST(NegativeSampler, AllRanksDrawTheSameAndASeekDrawsItAgain) {
  Scratch scratch;
  const Dataset dataset = triangular(scratch);
  for (Sampler sampler :
       {Sampler::uniform, Sampler::distinct, Sampler::frequency, Sampler::in_batch}) {
    Arena arena;
    std::vector<std::vector<std::int32_t>> of_one;
    for (const int world : {1, 3}) {
      for (int rank = 0; rank < world; ++rank) {
        LoaderOptions options = options_of(7, sampler);
        options.rank = rank;
        options.world = world;
        TrainLoader loader(Protocol(dataset), arena, options);
        for (std::size_t step = 0; step < 15; ++step) {
          const auto items = values<std::int32_t>(loader.next().negative_S);
          if (world == 1)
            of_one.push_back(items);
          else
            EXPECT_EQ(items, of_one[step]);
        }
        loader.seek(11);
        EXPECT_EQ(values<std::int32_t>(loader.next().negative_S), of_one[11]);
      }
    }
    EXPECT_NE(of_one[0], of_one[1]);
    EXPECT_NE(of_one[0], of_one[7]);  // the same places of the next epoch
  }
}

TEST(NegativeSampler, FindsNegativesThatAreASequencesOwn) {
  Scratch scratch;
  const Dataset dataset = triangular(scratch);
  for (Sampler sampler : {Sampler::uniform, Sampler::distinct, Sampler::in_batch}) {
    Arena arena;
    LoaderOptions options = options_of(9, sampler);
    EXPECT_FALSE(TrainLoader(Protocol(dataset), arena, options).next().own_negatives.offset_B1);
    options.needs.negatives.own = true;
    TrainLoader loader(Protocol(dataset), arena, options);
    std::size_t found = 0;
    for (int step = 0; step < 7; ++step) {
      const Batch batch = loader.next();
      const auto offset_B1 = values<std::int32_t>(batch.offset_B1);
      const auto item_N = values<std::int32_t>(batch.item_N);
      const auto target_N = values<std::int32_t>(batch.target_N);
      const auto negative_S = values<std::int32_t>(batch.negative_S);
      const auto sequence_N = values<std::int32_t>(batch.own_negatives.sequence_N);
      const auto begin_B1 = values<std::int32_t>(batch.own_negatives.offset_B1);
      const auto place_K = values<std::int32_t>(batch.own_negatives.place_K);
      ASSERT_EQ(begin_B1.size(), offset_B1.size());
      for (std::int64_t b = 0; b < batch.sequences; ++b) {
        std::set<std::int32_t> own, want;
        for (std::int32_t n = offset_B1[b]; n < offset_B1[b + 1]; ++n) {
          EXPECT_EQ(sequence_N[n], b);
          own.insert({item_N[n], target_N[n]});
        }
        for (std::size_t s = 0; s < negative_S.size(); ++s)
          if (own.contains(negative_S[s])) want.insert(static_cast<std::int32_t>(s));
        const auto begin = place_K.begin() + begin_B1[b], end = place_K.begin() + begin_B1[b + 1];
        EXPECT_EQ(std::distance(begin, end), std::ssize(want));  // each once
        EXPECT_EQ(std::set<std::int32_t>(begin, end), want);
        found += want.size();
      }
    }
    EXPECT_GT(found, 0u);
  }
}

TEST(NegativeSampler, RowsOfInputsTargetsAndNegativesAreOneList) {
  Scratch scratch;
  const Dataset dataset = triangular(scratch);
  Arena arena;
  TrainLoader loader(Protocol(dataset), arena, options_of(8, Sampler::uniform));
  const Batch batch = loader.next();
  const auto id_U = values<std::int32_t>(batch.item_rows.id_U);
  const std::pair<const UniqueRows*, const Tensor*> lists[] = {
      {&batch.item_rows, &batch.item_N},
      {&batch.target_rows, &batch.target_N},
      {&batch.negative_rows, &batch.negative_S}};
  std::set<std::int32_t> all;
  for (auto [rows, ids] : lists) {
    EXPECT_EQ(rows->id_U.raw(), batch.item_rows.id_U.raw());
    ASSERT_EQ(rows->place_N.numel(), ids->numel());
    for (std::int64_t i = 0; i < ids->numel(); ++i) {
      EXPECT_EQ(id_U[rows->place_N.data<std::int32_t>()[i]], ids->data<std::int32_t>()[i]);
      all.insert(ids->data<std::int32_t>()[i]);
    }
  }
  EXPECT_TRUE(std::ranges::equal(id_U, all));
}

}  // namespace
}  // namespace seqrank
