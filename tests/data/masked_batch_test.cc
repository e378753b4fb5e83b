// Batches of hidden items: what is hidden and by what, halves that were exchanged, the mask behind
// a history that is ranked; the same at any number of ranks.
#include "data/masked_batch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "data/dataset_writer.h"
#include "data/loader.h"
#include "tests/data/data_test_support.h"

namespace seqrank {
namespace {

using test::Scratch;
using testing::ElementsAre;

constexpr std::int32_t kStep = 1000;

// Event t of sequence s is item 1000 s + t, at 100 t seconds.
Dataset numbered(const Scratch& scratch, const std::vector<std::int32_t>& lengths) {
  const std::string path = scratch.file("a.h5");
  DatasetWriter writer(path);
  for (std::size_t s = 0; s < lengths.size(); ++s) {
    std::vector<std::int32_t> items;
    std::vector<std::int64_t> times;
    for (std::int32_t t = 0; t < lengths[s]; ++t) {
      items.push_back(static_cast<std::int32_t>(s) * kStep + t);
      times.push_back(100 * t);
    }
    writer.add_sequence(items, times);
  }
  writer.finish(static_cast<std::int64_t>(lengths.size()) * kStep);
  return Dataset::open(path);
}

template <class T>
std::vector<T> values(const Tensor& tensor) {
  return {tensor.span<T>().begin(), tensor.span<T>().end()};
}

LoaderOptions masked_options(std::int64_t batch, int rank = 0, int world = 1) {
  LoaderOptions options;
  options.global_batch = batch;
  options.max_length = 12;
  options.rank = rank;
  options.world = world;
  options.needs.columns = {"position"};
  options.needs.max_length = 12;
  options.needs.objective = Objective::masked;
  return options;
}

// The items of a batch with those that are hidden put back.
std::vector<std::int32_t> whole_items(const Batch& batch) {
  auto items = values<std::int32_t>(batch.item_N);
  const auto index = values<std::int32_t>(batch.target_index_M);
  for (std::size_t m = 0; m < index.size(); ++m)
    items[index[m]] = batch.target_M.span<std::int32_t>()[m];
  return items;
}

TEST(MaskedBatch, HidesItsShareByMaskAnyItemOrNothing) {
  Scratch scratch;
  const Dataset dataset = numbered(scratch, std::vector<std::int32_t>(400, 14));
  Arena arena;
  TrainLoader loader(Protocol(dataset), arena, masked_options(400));
  double hidden = 0, masks = 0, same = 0, events = 0;
  for (int step = 0; step < 5; ++step) {
    const Batch batch = loader.next();
    EXPECT_FALSE(batch.target_N);
    EXPECT_EQ(batch.events, 400 * 12);  // all events for training, the last one too
    EXPECT_EQ(batch.global_targets, batch.target_M.numel());
    const auto whole = whole_items(batch);
    for (std::int64_t n = 0; n < batch.events; ++n)
      EXPECT_EQ(whole[n], batch.sequence_B[n / 12] * kStep + n % 12);
    events += static_cast<double>(batch.events);
    hidden += static_cast<double>(batch.target_M.numel());
    const auto index = values<std::int32_t>(batch.target_index_M);
    EXPECT_TRUE(std::ranges::is_sorted(index));
    for (std::size_t m = 0; m < index.size(); ++m) {
      const std::int32_t item = batch.item_N.span<std::int32_t>()[index[m]];
      masks += item == mask_item(dataset);
      same += item == batch.target_M.span<std::int32_t>()[m];
      EXPECT_LE(item, mask_item(dataset));
    }
  }
  // At least one of 12: (1 - .15)^12 = .142 of the samples would have none.
  EXPECT_NEAR(hidden / events, 0.15 + 0.142 / 12, 0.01);
  EXPECT_NEAR(masks / hidden, 0.8, 0.03);
  EXPECT_NEAR(same / hidden, 0.1, 0.03);
}

TEST(MaskedBatch, HidesTheLastEventAloneInItsShareOfSamples) {
  Scratch scratch;
  const Dataset dataset = numbered(scratch, std::vector<std::int32_t>(50, 14));
  Arena arena;
  LoaderOptions options = masked_options(50);
  options.needs.masking.last_share = 1;
  const Batch batch = TrainLoader(Protocol(dataset), arena, options).next();
  EXPECT_EQ(values<std::int32_t>(batch.target_index_M), values<std::int32_t>(batch.last_B));
  for (const std::int32_t n : values<std::int32_t>(batch.target_index_M))
    EXPECT_EQ(batch.item_N.span<std::int32_t>()[n], mask_item(dataset));
}

TEST(MaskedBatch, RanksTogetherHaveTheGlobalBatch) {
  Scratch scratch;
  std::vector<std::int32_t> lengths;
  for (std::int32_t i = 0; i < 90; ++i) lengths.push_back(i * 7 % 31);
  const Dataset dataset = numbered(scratch, lengths);
  using ByPlace = std::map<std::int64_t, std::vector<std::int32_t>>;
  std::vector<ByPlace> of_world;
  for (const int world : {1, 3}) {
    ByPlace all;
    std::int64_t targets = 0, promised = 0;
    for (int rank = 0; rank < world; ++rank) {
      Arena arena;
      LoaderOptions options = masked_options(20, rank, world);
      options.needs.masking = {0.3, 0.1, true};
      TrainLoader loader(Protocol(dataset), arena, options);
      for (std::int64_t step = 0; step < 2 * loader.steps_per_epoch(); ++step) {
        const Batch batch = loader.next();
        if (rank == 0) promised += batch.global_targets;
        targets += batch.target_M.numel();
        const auto items = values<std::int32_t>(batch.item_N);
        for (std::int64_t b = 0; b < batch.sequences; ++b)
          all[batch.place_B.span<std::int64_t>()[b]] = {
              items.begin() + batch.offset_B1.span<std::int32_t>()[b],
              items.begin() + batch.offset_B1.span<std::int32_t>()[b + 1]};
      }
    }
    EXPECT_EQ(targets, promised);
    of_world.push_back(std::move(all));
  }
  EXPECT_EQ(of_world[0], of_world[1]);
}

TEST(MaskedBatch, ExchangesSecondHalves) {
  Scratch scratch;
  const Dataset dataset = numbered(scratch, std::vector<std::int32_t>(300, 13));  // 11 events
  Arena arena;
  LoaderOptions options = masked_options(300);
  options.needs.masking.halves = true;
  const Batch batch = TrainLoader(Protocol(dataset), arena, options).next();
  const auto whole = whole_items(batch);
  EXPECT_EQ(batch.global_sequences, 300);
  double same = 0;
  for (std::int64_t b = 0; b < batch.sequences; ++b) {
    const std::int32_t first = batch.offset_B1.span<std::int32_t>()[b];
    ASSERT_EQ(batch.offset_B1.span<std::int32_t>()[b + 1], first + 11);
    std::int64_t others = 0;
    for (std::int32_t t = 0; t < 11; ++t) {
      EXPECT_EQ(whole[first + t] % kStep, t);
      EXPECT_EQ(batch.ids.at("position").id_N.span<std::int32_t>()[first + t], t);
      others += whole[first + t] / kStep != batch.sequence_B[b];
    }
    const bool is_same = batch.same_B.span<float>()[b] == 1;
    EXPECT_EQ(others, is_same ? 0 : 5);
    same += is_same;
  }
  EXPECT_NEAR(same / 300, 0.5, 0.1);
}

TEST(MaskedBatch, RankingAsksBehindTheHistory) {
  Scratch scratch;
  const Dataset dataset = numbered(scratch, {5, 20});
  Arena arena;
  BatchNeeds needs = masked_options(1).needs;
  needs.columns = {"position", "gap"};
  needs.times = true;
  const EvaluationBatch found =
      evaluation_batch(Questions(Protocol(dataset), Split::test), arena, 0, 2, 12, needs);
  const std::int32_t mask = mask_item(dataset);
  EXPECT_THAT(values<std::int32_t>(found.batch.item_N),
              ElementsAre(0, 1, 2, 3, mask, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 1015, 1016,
                          1017, 1018, mask));
  EXPECT_THAT(values<std::int32_t>(found.batch.last_B), ElementsAre(4, 16));
  EXPECT_THAT(values<std::int32_t>(found.target_B), ElementsAre(4, 1019));
  EXPECT_EQ(found.batch.time_N.span<std::int64_t>()[4], 300);
  EXPECT_EQ(found.batch.ids.at("position").id_N.span<std::int32_t>()[16], 11);
  EXPECT_EQ(found.batch.ids.at("gap").id_N.span<std::int32_t>()[4], 0);
  EXPECT_EQ(found.batch.sequences_at_T.size(), 12u);
}

}  // namespace
}  // namespace seqrank
