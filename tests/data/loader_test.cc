// Batches against a plain restatement of the protocol: which samples, in which order, on which
// rank.
#include "data/loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "data/dataset_writer.h"
#include "data/sample_order.h"
#include "tests/data/data_test_support.h"

namespace seqrank {
namespace {

using test::Scratch;
using testing::ElementsAre;

// Event t of sequence s is item 1000 s + t: every place in a batch says where it came from.
constexpr std::int32_t kStep = 1000;

Dataset numbered(const Scratch& scratch, const std::vector<std::int32_t>& lengths) {
  const std::string path = scratch.file("a.h5");
  DatasetWriter writer(path);
  for (std::size_t s = 0; s < lengths.size(); ++s) {
    std::vector<std::int32_t> items;
    for (std::int32_t t = 0; t < lengths[s]; ++t)
      items.push_back(static_cast<std::int32_t>(s) * kStep + t);
    writer.add_sequence(items, {});
  }
  writer.finish(static_cast<std::int64_t>(lengths.size()) * kStep);
  return Dataset::open(path);
}

std::vector<std::int32_t> many_lengths() {
  std::vector<std::int32_t> lengths;
  for (std::int32_t i = 0; i < 203; ++i) lengths.push_back(i * 7 % 31);  // 0, 1, 2 among them
  return lengths;
}

template <class T>
std::vector<T> values(const Tensor& tensor) {
  return {tensor.span<T>().begin(), tensor.span<T>().end()};
}

void expect_consistent(const Batch& batch) {
  const auto offset = values<std::int32_t>(batch.offset_B1);
  ASSERT_EQ(static_cast<std::int64_t>(offset.size()), batch.sequences + 1);
  ASSERT_EQ(offset.front(), 0);
  ASSERT_EQ(offset.back(), batch.events);
  std::vector<std::int32_t> expected_order;
  std::vector<std::int32_t> by_length;
  for (std::int32_t b = 0; b < batch.sequences; ++b) by_length.push_back(b);
  const auto length = [&](std::int32_t b) { return offset[b + 1] - offset[b]; };
  std::stable_sort(by_length.begin(), by_length.end(),
                   [&](std::int32_t a, std::int32_t b) { return length(a) > length(b); });
  std::vector<std::int32_t> alive_at;
  for (std::int32_t t = 0; static_cast<std::int64_t>(expected_order.size()) < batch.events; ++t) {
    alive_at.push_back(0);
    for (const std::int32_t b : by_length) {
      if (length(b) <= t) continue;
      expected_order.push_back(offset[b] + t);
      ++alive_at.back();
    }
  }
  EXPECT_EQ(values<std::int32_t>(batch.time_order_N), expected_order);
  EXPECT_EQ(batch.sequences_at_T, alive_at);
  for (std::int32_t b = 0; b < batch.sequences; ++b)
    EXPECT_EQ(batch.last_B.span<std::int32_t>()[b], offset[b + 1] - 1);
  EXPECT_EQ(batch.sequence_B.size(), static_cast<std::size_t>(batch.sequences));
  if (!batch.target_N) return;
  const auto items = values<std::int32_t>(batch.item_N);
  const UniqueRows& rows = batch.item_rows;
  ASSERT_EQ(rows.place_N.numel(), batch.events);
  for (std::size_t n = 0; n < items.size(); ++n)
    EXPECT_EQ(rows.id_U.span<std::int32_t>()[rows.place_N.span<std::int32_t>()[n]], items[n]);
}

TEST(TrainLoader, CutsWindowsFromTheEnd) {
  Scratch scratch;
  const Dataset dataset = numbered(scratch, {9});  // events 0..6 are for training
  Arena arena;
  LoaderOptions options;
  options.max_length = 4;
  options.global_batch = 10;
  TrainLoader loader(Protocol(dataset), arena, options);
  EXPECT_EQ(loader.samples(), 2);
  EXPECT_EQ(loader.steps_per_epoch(), 1);
  const Batch batch = loader.next();
  expect_consistent(batch);
  std::map<std::int32_t, std::int32_t> target_of;  // input -> target
  for (std::int64_t i = 0; i < batch.events; ++i)
    target_of[batch.item_N.span<std::int32_t>()[i]] = batch.target_N.span<std::int32_t>()[i];
  EXPECT_THAT(target_of, ElementsAre(std::pair(0, 1), std::pair(1, 2), std::pair(2, 3),
                                     std::pair(3, 4), std::pair(4, 5), std::pair(5, 6)));
  // The short window is the first one: inputs 0, 1 and 2 to 5.
  std::set<std::int64_t> lengths;
  for (int b = 0; b < 2; ++b)
    lengths.insert(batch.offset_B1.span<std::int32_t>()[b + 1] -
                   batch.offset_B1.span<std::int32_t>()[b]);
  EXPECT_THAT(lengths, ElementsAre(2, 4));
  EXPECT_EQ(batch.global_targets, 6);
}

// One epoch on any number of ranks: each training event but a sequence's first is a target once,
// validation and test targets never appear, and all ranks agree on the global counts.
TEST(TrainLoader, RanksTogetherReadTheGlobalBatch) {
  Scratch scratch;
  const std::vector<std::int32_t> lengths = many_lengths();
  const Dataset dataset = numbered(scratch, lengths);
  std::multiset<std::int32_t> expected;
  for (std::size_t s = 0; s < lengths.size(); ++s) {
    const std::int32_t training = lengths[s] >= 3 ? lengths[s] - 2 : lengths[s];
    for (std::int32_t t = 1; t < training; ++t)
      expected.insert(static_cast<std::int32_t>(s) * kStep + t);
  }
  std::vector<std::map<std::int64_t, std::vector<std::int32_t>>> first_run;  // step: place -> items
  for (const int world : {1, 2, 3, 5, 64}) {
    Arena arena;
    std::vector<std::unique_ptr<TrainLoader>> loaders;
    for (int rank = 0; rank < world; ++rank) {
      LoaderOptions options{.seed = 5,
                            .global_batch = 50,
                            .max_length = 8,
                            .rank = rank,
                            .world = world,
                            .prefetch = 2};
      loaders.push_back(std::make_unique<TrainLoader>(Protocol(dataset), arena, options));
    }
    std::multiset<std::int32_t> targets;
    std::vector<std::map<std::int64_t, std::vector<std::int32_t>>> steps;
    for (std::int64_t step = 0; step < loaders[0]->steps_per_epoch(); ++step) {
      std::int64_t events = 0, global_events = -1;
      std::map<std::int64_t, std::vector<std::int32_t>> samples;
      for (const auto& loader : loaders) {
        const Batch batch = loader->next();
        expect_consistent(batch);
        EXPECT_EQ(loader->events(step), batch.events) << "known from lengths";
        events += batch.events;
        if (global_events < 0) global_events = batch.global_events;
        EXPECT_EQ(batch.global_events, global_events);
        EXPECT_EQ(batch.global_targets, global_events);
        const auto item = values<std::int32_t>(batch.item_N);
        const auto target = values<std::int32_t>(batch.target_N);
        const auto offset = values<std::int32_t>(batch.offset_B1);
        targets.insert(target.begin(), target.end());
        for (std::size_t i = 0; i < item.size(); ++i) EXPECT_EQ(target[i], item[i] + 1);
        for (std::int64_t b = 0; b < batch.sequences; ++b) {
          const std::int64_t place = batch.place_B.span<std::int64_t>()[b];
          EXPECT_EQ(batch.sequence_B[b], item[offset[b]] / kStep);
          EXPECT_TRUE(samples
                          .emplace(place, std::vector<std::int32_t>(item.begin() + offset[b],
                                                                    item.begin() + offset[b + 1]))
                          .second);
        }
      }
      EXPECT_EQ(events, global_events);
      steps.push_back(samples);
    }
    EXPECT_EQ(targets, expected) << world << " ranks";
    if (first_run.empty()) first_run = steps;
    EXPECT_EQ(steps, first_run) << world << " ranks";
  }
}

TEST(TrainLoader, SeekRestartsExactlyAndEpochsDiffer) {
  Scratch scratch;
  const Dataset dataset = numbered(scratch, many_lengths());
  Arena arena;
  LoaderOptions options{.seed = 9, .global_batch = 32, .max_length = 10, .rank = 1, .world = 2};
  TrainLoader loader(Protocol(dataset), arena, options);
  const std::int64_t steps = 3 * loader.steps_per_epoch();
  std::vector<std::vector<std::int32_t>> items;
  std::vector<std::vector<std::int64_t>> places;
  for (std::int64_t step = 0; step < steps; ++step) {
    const Batch batch = loader.next();
    items.push_back(values<std::int32_t>(batch.item_N));
    places.push_back(values<std::int64_t>(batch.place_B));
  }
  EXPECT_NE(items[0], items[loader.steps_per_epoch()]);
  for (const std::int64_t from : {steps - 1, std::int64_t{0}, steps / 2, std::int64_t{1}}) {
    loader.seek(from);
    for (std::int64_t step = from; step < std::min(from + 3, steps); ++step) {
      const Batch peeked = loader.peek(), batch = loader.next();
      EXPECT_EQ(peeked.item_N.raw(), batch.item_N.raw());
      EXPECT_EQ(values<std::int32_t>(batch.item_N), items[step]);
      EXPECT_EQ(values<std::int64_t>(batch.place_B), places[step]);
    }
  }
  EXPECT_GE(loader.wait_seconds(), 0);
  // Every place of three epochs once, over both ranks; this rank's rise within a step.
  for (const auto& step : places) EXPECT_TRUE(std::is_sorted(step.begin(), step.end()));
}

TEST(TrainLoader, KeepsFewBatchesInMemory) {
  Scratch scratch;
  const Dataset dataset = numbered(scratch, std::vector<std::int32_t>(64, 12));
  Arena arena;
  LoaderOptions options{.global_batch = 16, .max_length = 10, .prefetch = 2};
  TrainLoader loader(Protocol(dataset), arena, options);
  loader.fill();
  EXPECT_GT(arena.bytes(Tag::batch), 0u);
  const std::size_t ahead = arena.bytes(Tag::batch);
  for (int step = 0; step < 200; ++step) loader.next();
  loader.fill();
  EXPECT_EQ(arena.bytes(Tag::batch), ahead) << "as many as at first";
  // Two waiting, one being made, one in use: bounded whatever the number of steps.
  EXPECT_LE(arena.peak_bytes(Tag::batch), 4u * 16 * 10 * 64);
}

TEST(TrainLoader, RefusesNothingToTrainOn) {
  Scratch scratch;
  const Dataset dataset = numbered(scratch, {0, 1, 3});  // three events leave one for training
  Arena arena;
  SR_EXPECT_ERROR(TrainLoader(Protocol(dataset), arena, {}), ErrorKind::data,
                  "nothing to train on");
  const Dataset good = numbered(scratch, {2});
  EXPECT_EQ(TrainLoader(Protocol(good), arena, {}).samples(), 1);
  SR_EXPECT_ERROR(TrainLoader(Protocol(good), arena, {.global_batch = 0}), ErrorKind::usage,
                  "batch is 0");
  SR_EXPECT_ERROR(TrainLoader(Protocol(good), arena, {.max_length = -1}), ErrorKind::usage,
                  "longest");
}

TEST(TrainLoader, RethrowsTheReadersError) {
  Scratch scratch;
  const Dataset dataset = numbered(scratch, std::vector<std::int32_t>(2000, 500));
  std::filesystem::resize_file(scratch.file("a.h5"), 4096);
  Arena arena;
  TrainLoader loader(Protocol(dataset), arena, {});
  SR_EXPECT_ERROR(for (int i = 0; i < 20; ++i) loader.next(), ErrorKind::data, "cut while open");
}

TEST(EvaluationBatch, HoldsBackWhatTheSplitSays) {
  Scratch scratch;
  const Dataset dataset = numbered(scratch, {5, 2, 3, 9});
  Arena arena;
  const Questions asked(Protocol(dataset), Split::test);
  ASSERT_EQ(asked.count(), 3);
  const EvaluationBatch test = evaluation_batch(asked, arena, 0, 3, 3);
  expect_consistent(test.batch);
  EXPECT_THAT(test.batch.sequence_B, ElementsAre(0, 2, 3));
  EXPECT_THAT(values<std::int32_t>(test.batch.item_N),
              ElementsAre(1, 2, 3, 2000, 2001, 3005, 3006, 3007));
  EXPECT_THAT(values<std::int32_t>(test.target_B), ElementsAre(4, 2002, 3008));
  EXPECT_THAT(values<std::int32_t>(test.seen_offset_B1), ElementsAre(0, 4, 6, 14));
  EXPECT_THAT(values<std::int32_t>(test.seen_M),
              ElementsAre(0, 1, 2, 3, 2000, 2001, 3000, 3001, 3002, 3003, 3004, 3005, 3006, 3007));
  EXPECT_FALSE(test.batch.target_N);
  const EvaluationBatch validation =
      evaluation_batch(Questions(Protocol(dataset), Split::validation), arena, 0, 2, 50);
  EXPECT_THAT(values<std::int32_t>(validation.batch.item_N), ElementsAre(0, 1, 2, 2000));
  EXPECT_THAT(values<std::int32_t>(validation.target_B), ElementsAre(3, 2001));
  EXPECT_EQ(evaluation_batch(asked, arena, 1, 1, 5).batch.sequences, 0);
  SR_EXPECT_ERROR(Questions(Protocol(dataset), Split::train), ErrorKind::usage, "train");
}

TEST(HistoryBatch, HoldsNothingBack) {
  Scratch scratch;
  const Dataset dataset = numbered(scratch, {5, 0, 1});
  Arena arena;
  const EvaluationBatch batch = history_batch(dataset, arena, std::vector<std::int64_t>{2, 0}, 2);
  EXPECT_THAT(values<std::int32_t>(batch.batch.item_N), ElementsAre(2000, 3, 4));
  EXPECT_THAT(values<std::int32_t>(batch.seen_M), ElementsAre(2000, 0, 1, 2, 3, 4));
  EXPECT_FALSE(batch.target_B);
  SR_EXPECT_ERROR(history_batch(dataset, arena, std::vector<std::int64_t>{1}, 2), ErrorKind::data,
                  "sequence 1");
  SR_EXPECT_ERROR(history_batch(dataset, arena, std::vector<std::int64_t>{3}, 2), ErrorKind::usage,
                  "no sequence 3");
}

}  // namespace
}  // namespace seqrank
