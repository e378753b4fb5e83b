// Ranges by hand, and what no protocol may do: let an event that is to be predicted, or one after
// a cut in time, be read by training.
#include "data/protocol.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "data/dataset_writer.h"
#include "data/questions.h"
#include "data/windows.h"
#include "tests/data/data_test_support.h"

namespace seqrank {
namespace {

using test::Scratch;
using testing::ElementsAre;
using testing::Pair;

using Times = std::vector<std::vector<std::int64_t>>;

// Items 0, 1, 2, ... in every sequence.
Dataset with_times(const Scratch& scratch, const Times& times) {
  const std::string path = scratch.file("times.h5");
  DatasetWriter writer(path);
  std::size_t longest = 1;
  for (const auto& sequence : times) {
    std::vector<std::int32_t> items(sequence.size());
    for (std::size_t i = 0; i < items.size(); ++i) items[i] = static_cast<std::int32_t>(i);
    writer.add_sequence(items, sequence);
    longest = std::max(longest, sequence.size());
  }
  writer.finish(static_cast<std::int64_t>(longest));
  return Dataset::open(path);
}

Dataset with_lengths(const Scratch& scratch, const std::vector<std::size_t>& lengths) {
  const std::string path = scratch.file("lengths.h5");
  DatasetWriter writer(path);
  for (const std::size_t length : lengths)
    writer.add_sequence(std::vector<std::int32_t>(length, 0), {});
  writer.finish(1);
  return Dataset::open(path);
}

std::vector<std::pair<std::int64_t, std::int64_t>> targets(const Protocol& protocol, Split split) {
  std::vector<std::pair<std::int64_t, std::int64_t>> all;
  for (std::int64_t s = 0; s < protocol.dataset().sequences(); ++s) {
    const EventRange range = protocol.targets(split, s);
    all.emplace_back(range.begin, range.end);
  }
  return all;
}

TEST(Protocol, P1LeavesTheLastTwoOut) {
  Scratch scratch;
  const Dataset dataset = with_lengths(scratch, {0, 1, 2, 3, 9});
  const Protocol protocol(dataset);
  EXPECT_THAT(targets(protocol, Split::train),
              ElementsAre(Pair(0, 0), Pair(1, 1), Pair(1, 2), Pair(1, 1), Pair(1, 7)));
  EXPECT_THAT(targets(protocol, Split::validation),
              ElementsAre(Pair(0, 0), Pair(1, 1), Pair(2, 2), Pair(1, 2), Pair(7, 8)));
  EXPECT_THAT(targets(protocol, Split::test),
              ElementsAre(Pair(0, 0), Pair(1, 1), Pair(2, 2), Pair(2, 3), Pair(8, 9)));
  EXPECT_EQ(protocol.training_events(3), 1);
}

TEST(Protocol, CtrHoldsTenthsBack) {
  Scratch scratch;
  const Dataset dataset = with_lengths(scratch, {0, 9, 10, 19, 25, 100});
  const Protocol protocol(dataset, {.kind = ProtocolKind::ctr});
  EXPECT_THAT(
      targets(protocol, Split::validation),
      ElementsAre(Pair(0, 0), Pair(9, 9), Pair(8, 9), Pair(17, 18), Pair(21, 23), Pair(80, 90)));
  EXPECT_THAT(
      targets(protocol, Split::test),
      ElementsAre(Pair(0, 0), Pair(9, 9), Pair(9, 10), Pair(18, 19), Pair(23, 25), Pair(90, 100)));
  EXPECT_EQ(protocol.training_events(1), 9);
  EXPECT_EQ(protocol.training_events(4), 21);
}

TEST(Protocol, SessionHoldsWholeSequencesBack) {
  Scratch scratch;
  std::vector<std::size_t> lengths(21, 4);
  lengths[17] = 1, lengths[18] = 0;
  const Dataset dataset = with_lengths(scratch, lengths);
  const Protocol protocol(dataset, {.kind = ProtocolKind::session});
  for (std::int64_t s = 0; s < 21; ++s) {
    const Split own = s < 17 ? Split::train : s < 19 ? Split::validation : Split::test;
    for (const Split split : {Split::train, Split::validation, Split::test}) {
      const std::int64_t length = dataset.length(s);
      EXPECT_EQ(protocol.targets(split, s).count(), split == own && length > 0 ? length - 1 : 0)
          << s;
    }
    EXPECT_EQ(protocol.training_events(s), s < 17 ? 4 : 0);
  }
  const Questions questions(protocol, Split::test);
  ASSERT_EQ(questions.count(), 6);  // each event but the first of each
  EXPECT_EQ(questions.at(4).sequence, 20);
  EXPECT_EQ(questions.at(4).history_events, 2);
  EXPECT_EQ(questions.at(4).target(), dataset.begin(20) + 2);
  EXPECT_EQ(questions.at(4).following, 1);
}

Dataset with_splits(const Scratch& scratch, const std::vector<std::uint8_t>& splits,
                    double last_targets_only) {
  const std::string path = scratch.file("splits.h5");
  DatasetWriter writer(path);
  for (std::size_t s = 0; s < splits.size(); ++s)
    writer.add_sequence(std::vector<std::int32_t>{0, 0, 0}, {});
  writer.append("/sequence/split", splits);
  writer.set_attribute("last_targets_only", last_targets_only);
  writer.finish(1);
  return Dataset::open(path);
}

TEST(Protocol, SessionTakesTheSplitsOfTheFile) {
  Scratch scratch;
  const Dataset dataset = with_splits(scratch, {2, 0, 1, 0}, 0);
  const Protocol protocol(dataset, {.kind = ProtocolKind::session});
  EXPECT_THAT(targets(protocol, Split::train),
              ElementsAre(Pair(0, 0), Pair(1, 3), Pair(0, 0), Pair(1, 3)));
  EXPECT_THAT(targets(protocol, Split::validation),
              ElementsAre(Pair(0, 0), Pair(0, 0), Pair(1, 3), Pair(0, 0)));
  EXPECT_THAT(targets(protocol, Split::test),
              ElementsAre(Pair(1, 3), Pair(0, 0), Pair(0, 0), Pair(0, 0)));
}

TEST(Protocol, SessionTakesValidationFromTrainingWhereThereIsNone) {
  Scratch scratch;
  std::vector<std::uint8_t> splits(45, 0);  // of 43 for training, two
  splits[43] = splits[10] = 2;
  const Dataset dataset = with_splits(scratch, splits, 1);
  const Protocol protocol(dataset, {.kind = ProtocolKind::session});
  for (std::int64_t s = 0; s < 45; ++s) {
    const bool test = s == 43 || s == 10, validation = s == 44 || s == 42;
    const auto range = [&](Split split) {
      const EventRange found = protocol.targets(split, s);
      return std::pair(found.begin, found.end);
    };
    EXPECT_EQ(range(Split::test), test ? std::pair(2L, 3L) : std::pair(0L, 0L)) << s;
    EXPECT_EQ(range(Split::validation), validation ? std::pair(2L, 3L) : std::pair(0L, 0L)) << s;
    EXPECT_EQ(range(Split::train), test || validation ? std::pair(0L, 0L) : std::pair(1L, 3L)) << s;
  }
}

TEST(Protocol, TemporalCutsEverybodyAtTheSameTime) {
  Scratch scratch;
  const Dataset dataset =
      with_times(scratch, {{1, 2, 3, 4, 5, 6, 7}, {4, 5, 5, 6}, {9, 9}, {1, 6}, {}});
  const Protocol protocol(dataset,
                          {.kind = ProtocolKind::temporal, .validation_from = 5, .test_from = 6});
  EXPECT_THAT(targets(protocol, Split::train),
              ElementsAre(Pair(1, 4), Pair(1, 1), Pair(0, 0), Pair(1, 1), Pair(0, 0)));
  EXPECT_THAT(targets(protocol, Split::validation),
              ElementsAre(Pair(4, 5), Pair(1, 3), Pair(0, 0), Pair(1, 1), Pair(0, 0)));
  EXPECT_THAT(targets(protocol, Split::test),
              ElementsAre(Pair(5, 7), Pair(3, 4), Pair(1, 2), Pair(1, 2), Pair(0, 0)));
  const Questions questions(protocol, Split::test);
  ASSERT_EQ(questions.count(), 4);  // one a sequence
  EXPECT_EQ(questions.at(0).history_events, 5);
  EXPECT_EQ(questions.at(0).following, 2);
  EXPECT_EQ(questions.at(2).sequence, 2);
  EXPECT_EQ(questions.at(2).history_events, 1);
}

TEST(Protocol, TemporalFindsItsCutsByShare) {
  Scratch scratch;
  Times times(1);
  for (std::int64_t t = 0; t < 1000; ++t) times[0].push_back(t * 1'000'000'007 - 300'000'000'000);
  const Dataset dataset = with_times(scratch, times);
  const Protocol tenths(dataset, {.kind = ProtocolKind::temporal});
  EXPECT_THAT(targets(tenths, Split::validation), ElementsAre(Pair(800, 900)));
  EXPECT_THAT(targets(tenths, Split::test), ElementsAre(Pair(900, 1000)));
  const Protocol others(
      dataset, {.kind = ProtocolKind::temporal, .validation_share = 0.25, .test_share = 0.5});
  EXPECT_THAT(targets(others, Split::train), ElementsAre(Pair(1, 250)));
  EXPECT_THAT(targets(others, Split::test), ElementsAre(Pair(500, 1000)));
  // What has the time of a cut lies behind it, also where that is more than the share.
  const Dataset tied = with_times(scratch, {{1, 1, 1, 2, 2, 2, 2, 3, 3, 3}});
  const Protocol at_ties(
      tied, {.kind = ProtocolKind::temporal, .validation_share = 0.4, .test_share = 0.1});
  EXPECT_THAT(targets(at_ties, Split::validation), ElementsAre(Pair(3, 7)));
  EXPECT_THAT(targets(at_ties, Split::test), ElementsAre(Pair(7, 10)));
}

TEST(Protocol, TemporalRefusesWhatItCannotCut) {
  Scratch scratch;
  const Dataset without = with_lengths(scratch, {5});
  SR_EXPECT_ERROR(Protocol(without, {.kind = ProtocolKind::temporal}), ErrorKind::data, "no times");
  const Dataset all_at_once = with_times(scratch, {{3, 3, 3, 3}});
  SR_EXPECT_ERROR(Protocol(all_at_once, {.kind = ProtocolKind::temporal}), ErrorKind::usage,
                  "earlier");
}

// What is read of a data set under a protocol.
struct Reading {
  std::vector<char> trained, asked;  // by event
  std::int64_t last_trained = -1;    // times
  std::int64_t first_asked = std::numeric_limits<std::int64_t>::max();
};

std::int64_t time_of(const Dataset& dataset, std::int64_t event) {
  std::int64_t time = 0;
  dataset.read_times(event, {&time, 1});
  return time;
}

Reading read_all(const Protocol& protocol) {
  const Dataset& dataset = protocol.dataset();
  Reading reading{std::vector<char>(dataset.events(), 0), std::vector<char>(dataset.events(), 0)};
  const TrainingWindows windows(protocol, 7);
  for (std::int64_t w = 0; w < windows.count(); ++w) {
    const Window window = windows.at(w);
    for (std::int64_t i = 0; i <= window.events; ++i) {  // the last target included
      reading.trained[window.begin + i] = 1;
      reading.last_trained = std::max(reading.last_trained, time_of(dataset, window.begin + i));
    }
  }
  for (const Split split : {Split::validation, Split::test}) {
    const Questions questions(protocol, split);
    EXPECT_GT(questions.count(), 0) << protocol_name(protocol.kind());
    for (std::int64_t q = 0; q < questions.count(); ++q) {
      const Question question = questions.at(q);
      for (std::int64_t i = 0; i < question.following; ++i) {
        const std::int64_t event = question.target() + i;
        EXPECT_FALSE(reading.asked[event]) << protocol_name(protocol.kind());
        reading.asked[event] = 1;
        reading.first_asked = std::min(reading.first_asked, time_of(dataset, event));
      }
    }
  }
  return reading;
}

// Over random data: an event is trained on or asked, never both, and temporal's training ends
// before anybody's question.
TEST(Protocol, NothingThatIsAskedIsTrainedOn) {
  std::mt19937 random(4);
  for (int trial = 0; trial < 20; ++trial) {
    Scratch scratch;
    Times times(40);
    for (auto& sequence : times) {
      sequence.resize(random() % 40);
      for (auto& time : sequence) time = static_cast<std::int64_t>(random() % 500);
      std::ranges::sort(sequence);
    }
    const Dataset dataset = with_times(scratch, times);
    for (const ProtocolKind kind :
         {ProtocolKind::p1, ProtocolKind::temporal, ProtocolKind::session, ProtocolKind::ctr}) {
      const Reading reading = read_all(Protocol(dataset, {.kind = kind}));
      for (std::int64_t event = 0; event < dataset.events(); ++event)
        EXPECT_FALSE(reading.trained[event] && reading.asked[event]) << protocol_name(kind);
      if (kind == ProtocolKind::temporal) {
        EXPECT_LT(reading.last_trained, reading.first_asked);
      }
    }
  }
}

}  // namespace
}  // namespace seqrank
