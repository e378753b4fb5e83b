// Targets of a split, each covered once and with enough before it.
#include "data/click_windows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/dataset_writer.h"
#include "tests/data/data_test_support.h"

namespace seqrank {
namespace {

using test::Scratch;
using testing::ElementsAre;

// Event t of a sequence is item t, its label t % 2.
Dataset counted(const Scratch& scratch, const std::vector<std::int32_t>& lengths) {
  const std::string path = scratch.file("a.h5");
  DatasetWriter writer(path);
  for (const std::int32_t length : lengths) {
    std::vector<std::int32_t> items;
    std::vector<std::uint8_t> labels;
    for (std::int32_t t = 0; t < length; ++t) {
      items.push_back(t);
      labels.push_back(t % 2);
    }
    writer.add_sequence(items, {});
    writer.append("/event/label", labels);
  }
  writer.finish(1000);
  return Dataset::open(path);
}

TEST(ClickWindows, CoverEveryTargetOnceWithHalfTheLongestHistory) {
  Scratch scratch;
  const Dataset dataset = counted(scratch, {7, 300, 10, 100, 19});
  const Protocol protocol(dataset, {.kind = ProtocolKind::ctr});
  for (const Split split : {Split::validation, Split::test}) {
    const Questions questions(protocol, split);
    for (const std::int64_t max_length : {1, 2, 3, 8, 50, 500}) {
      const ClickWindows windows(questions, max_length);
      std::int64_t next = 0;
      for (std::int64_t w = 0; w < windows.count(); ++w) {
        const auto [inputs, asked, first] = windows.at(w);
        EXPECT_EQ(first, next);
        EXPECT_LE(inputs.events, max_length);
        EXPECT_GE(inputs.begin, dataset.begin(inputs.sequence));
        for (std::int64_t i = 0; i < asked; ++i, ++next) {
          const Question question = questions.at(next);
          EXPECT_EQ(inputs.sequence, question.sequence);
          EXPECT_EQ(inputs.begin + inputs.events - asked + i + 1, question.target());
          const std::int64_t history = question.target() - inputs.begin;
          EXPECT_GE(history, std::min(question.history_events, (max_length + 1) / 2));
        }
      }
      EXPECT_EQ(next, questions.count());
    }
  }
}

TEST(ClickWindows, ABatchHasTargetsAndLabels) {
  Scratch scratch;
  const Dataset dataset = counted(scratch, {20, 10});
  Arena arena;
  const Protocol protocol(dataset, {.kind = ProtocolKind::ctr});
  const Questions questions(protocol, Split::test);
  const ClickWindows windows(questions, 4);
  ASSERT_EQ(windows.count(), 2);
  const std::vector<ClickWindow> both = {windows.at(0), windows.at(1)};
  BatchNeeds needs;
  needs.labels = true;
  const Batch batch = click_batch(dataset, arena, both, 4, needs);
  const auto values = [](const Tensor& x, auto type) {
    const auto span = x.span<decltype(type)>();
    return std::vector<decltype(type)>(span.begin(), span.end());
  };
  EXPECT_THAT(values(batch.item_N, std::int32_t()), ElementsAre(15, 16, 17, 18, 5, 6, 7, 8));
  EXPECT_THAT(values(batch.target_N, std::int32_t()), ElementsAre(16, 17, 18, 19, 6, 7, 8, 9));
  EXPECT_THAT(values(batch.target_label_N, float()), ElementsAre(0, 1, 0, 1, 0, 1, 0, 1));
  EXPECT_EQ(both[0].asked, 2);
  EXPECT_EQ(both[1].asked, 1);
}

}  // namespace
}  // namespace seqrank
