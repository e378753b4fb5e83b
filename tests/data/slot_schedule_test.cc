// Session-parallel batches against what a slot may do: read on in its session, or begin one.
#include "data/slot_schedule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "data/dataset_writer.h"
#include "data/loader.h"
#include "tests/data/data_test_support.h"

namespace seqrank {
namespace {

constexpr std::int32_t kStep = 1000;  // event t of sequence s is item 1000 s + t
constexpr std::int64_t kSlots = 4;

struct Setting {
  int world;
  std::int64_t events;  // of a session a step
};

class SlotBatches : public testing::TestWithParam<Setting> {
 protected:
  SlotBatches() : dataset_(written()) {}

  Dataset written() {
    DatasetWriter writer(scratch_.file("a.h5"));
    for (std::int32_t s = 0; s < 83; ++s) {
      std::vector<std::int32_t> items;
      for (std::int32_t t = 0; t < s * 7 % 19; ++t) {
        items.push_back(s * kStep + t);
        if (t + 2 < s * 7 % 19 && t > 0) inputs_.insert(items[t - 1]);
        if (s * 7 % 19 == 2 && t == 1) inputs_.insert(items[0]);
      }
      writer.add_sequence(items, {});
    }
    writer.finish(83 * kStep);
    return Dataset::open(scratch_.file("a.h5"));
  }

  LoaderOptions options(int rank, int world, std::int64_t events) const {
    LoaderOptions result;
    result.global_batch = kSlots;
    result.rank = rank;
    result.world = world;
    result.needs.slot_events = events;
    return result;
  }

  test::Scratch scratch_;
  std::set<std::int32_t> inputs_;  // of training, each once an epoch
  Dataset dataset_;
  Arena arena_;
};

std::int32_t at(const Tensor& tensor, std::int64_t i) {
  return tensor.span<std::int32_t>()[i];
}

// Follows one rank's slots through two epochs: what each kept goes before what it reads next.
TEST_P(SlotBatches, SlotsReadOnOrBegin) {
  const auto [world, events] = GetParam();
  std::multiset<std::int32_t> read[2];
  std::set<std::int64_t> places;
  std::map<std::int64_t, std::int64_t> read_at, said_at;  // by step: events
  for (int rank = 0; rank < world; ++rank) {
    TrainLoader loader(Protocol(dataset_), arena_, options(rank, world, events));
    const SlotRange slots = slot_range(kSlots, rank, world);
    std::vector<std::int32_t> kept(slots.count(), -1);  // the item a slot read last
    for (std::int64_t step = 0; step < 2 * loader.steps_per_epoch(); ++step) {
      const Batch batch = loader.next();
      ASSERT_EQ(batch.state_at_S.numel(), slots.count());
      EXPECT_EQ(loader.events(step), batch.events);
      for (std::int64_t b = 0; b < batch.sequences; ++b) {
        const std::int32_t begin = at(batch.offset_B1, b), end = at(batch.offset_B1, b + 1);
        EXPECT_LE(end - begin, events);
        if (b > 0) {
          EXPECT_LE(end - begin, begin - at(batch.offset_B1, b - 1));
        }
        const std::int32_t from = at(batch.state_from_B, b), first = at(batch.item_N, begin);
        if (from < slots.count()) {
          EXPECT_EQ(first, kept[from] + 1);
        } else {
          EXPECT_TRUE(first % kStep == 0 || step % loader.steps_per_epoch() == 0) << first;
        }
        for (std::int32_t n = begin; n < end; ++n) {
          EXPECT_EQ(at(batch.item_N, n), first + n - begin);
          EXPECT_EQ(at(batch.target_N, n), first + n - begin + 1);
          read[step / loader.steps_per_epoch()].insert(at(batch.item_N, n));
        }
        EXPECT_TRUE(places.insert(batch.place_B.span<std::int64_t>()[b]).second);
      }
      for (std::int64_t s = 0; s < slots.count() && batch.events > 0; ++s)
        kept[s] = at(batch.item_N, at(batch.state_at_S, s));
      EXPECT_LE(batch.sequences, slots.count());
      read_at[step] += batch.events;
      said_at[step] = batch.global_events;
      EXPECT_EQ(batch.global_targets, batch.global_events);
    }
    EXPECT_EQ(loader.samples(), static_cast<std::int64_t>(
                                    SlotSchedule(Protocol(dataset_), 1, kSlots, events).parts()));
  }
  EXPECT_EQ(read_at, said_at);
  for (const auto& epoch : read)
    EXPECT_TRUE(std::ranges::equal(epoch, inputs_)) << epoch.size() << " " << inputs_.size();
}

// By place: what is read at a step is the same on any number of ranks, and after any seek.
TEST_P(SlotBatches, DependOnTheStepAlone) {
  const auto [world, events] = GetParam();
  const auto content = [](const Batch& batch, std::map<std::int64_t, std::int32_t>& found) {
    for (std::int64_t b = 0; b < batch.sequences; ++b)
      found[batch.place_B.span<std::int64_t>()[b]] = at(batch.item_N, at(batch.offset_B1, b));
  };
  TrainLoader one(Protocol(dataset_), arena_, options(0, 1, events));
  for (const std::int64_t step :
       {one.steps_per_epoch() + 3, std::int64_t{0}, std::int64_t{7}, one.steps_per_epoch() - 1}) {
    std::map<std::int64_t, std::int32_t> whole, together;
    one.seek(step);
    content(one.next(), whole);
    for (int rank = 0; rank < world; ++rank) {
      TrainLoader loader(Protocol(dataset_), arena_, options(rank, world, events));
      loader.seek(step);
      content(loader.next(), together);
    }
    EXPECT_EQ(whole, together);
    EXPECT_FALSE(whole.empty());
  }
}

INSTANTIATE_TEST_SUITE_P(Worlds, SlotBatches,
                         testing::Values(Setting{1, 1}, Setting{3, 1}, Setting{2, 3},
                                         Setting{7, 2}));

// A part has no events before it in its batch, and its columns are those of the session all the
// same.
TEST(SlotSchedule, ColumnsOfPartsAreThoseOfTheirSessions) {
  test::Scratch scratch;
  DatasetWriter writer(scratch.file("a.h5"));
  const auto time_of = [](std::int64_t s, std::int64_t t) { return s * 5000 + t * t * 1700; };
  for (std::int32_t s = 0; s < 9; ++s) {
    std::vector<std::int32_t> items;
    std::vector<std::int64_t> times;
    for (std::int32_t t = 0; t < 3 + s; ++t) {
      items.push_back(s * kStep + t);
      times.push_back(time_of(s, t));
    }
    writer.add_sequence(items, times);
  }
  writer.finish(9 * kStep);
  const Dataset dataset = Dataset::open(scratch.file("a.h5"));
  Arena arena;
  LoaderOptions options;
  options.global_batch = 2;
  options.needs.slot_events = 2;
  options.needs.columns = {"gap", "hour"};
  TrainLoader loader(Protocol(dataset), arena, options);
  int inside = 0;  // parts that go on in a session
  for (std::int64_t step = 0; step < loader.steps_per_epoch(); ++step) {
    const Batch batch = loader.next();
    for (std::int64_t n = 0; n < batch.events; ++n) {
      const std::int64_t s = at(batch.item_N, n) / kStep, t = at(batch.item_N, n) % kStep;
      const std::int64_t gap = t == 0 ? 0 : time_of(s, t) - time_of(s, t - 1);
      int bucket = 0;
      while ((std::int64_t{2} << bucket) <= gap + 1) ++bucket;
      EXPECT_EQ(at(batch.ids.at("gap").id_N, n), bucket) << s << " " << t;
      EXPECT_EQ(at(batch.ids.at("hour").id_N, n), time_of(s, t) / 3600 % 24) << s << " " << t;
    }
    for (std::int64_t b = 0; b < batch.sequences; ++b)
      inside += at(batch.item_N, at(batch.offset_B1, b)) % kStep > 0;
  }
  EXPECT_GT(inside, 0);
}

TEST(SlotSchedule, EpochsDiffer) {
  test::Scratch scratch;
  DatasetWriter writer(scratch.file("a.h5"));
  for (std::int32_t s = 0; s < 50; ++s) writer.add_sequence(std::vector<std::int32_t>(5, s), {});
  writer.finish(50);
  const Dataset dataset = Dataset::open(scratch.file("a.h5"));
  SlotSchedule schedule(Protocol(dataset), 3, 2, 1);
  EXPECT_EQ(schedule.parts(), 100);  // two inputs each
  EXPECT_EQ(schedule.steps_per_epoch(), 50);
  std::vector<std::int64_t> order[2];
  for (std::int64_t epoch : {0, 1})
    for (std::int64_t step = 0; step < 50; ++step)
      order[epoch].push_back(schedule.at(epoch, step, 1)->window.sequence);
  EXPECT_NE(order[0], order[1]);
}

}  // namespace
}  // namespace seqrank
