// A moment in words, at every width there is: never wider than the terminal, and the more important
// parts stay longest.
#include "launch/progress_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace seqrank {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

const ProgressMoment kTraining = {
    "training", "steps", 1234, 9600, 4000, {"loss 6.7948", "168,796 events/s", "epoch 3 of 20"}};

TEST(ProgressLine, SaysAllThereIs) {
  EXPECT_EQ(progress_line(kTraining),
            "training   12 %  1,234 of 9,600 steps  1:06 h left  loss 6.7948  168,796 events/s  "
            "epoch 3 of 20");
  EXPECT_EQ(progress_line({"reading", "lines", 12345, 0, -1, {}}), "reading  12,345 lines");
  EXPECT_EQ(progress_line({"sorting", "", 5, 10, 61, {}}),
            "sorting   50 %  5 of 10  1:01 min left");
}

TEST(ProgressLine, IsDoneOnlyAtTheEnd) {
  EXPECT_THAT(progress_line({"training", "steps", 999, 1000, 1, {}}), HasSubstr(" 99 %"));
  EXPECT_THAT(progress_line({"training", "steps", 1000, 1000, 0, {}}),
              AllOf(HasSubstr("100 %"), Not(HasSubstr("left"))));
}

TEST(ProgressBar, FitsEveryWidth) {
  for (std::size_t columns = 0; columns <= 200; ++columns)
    EXPECT_LE(progress_bar(kTraining, columns).size(), columns);
}

TEST(ProgressBar, KeepsWhatMattersMost) {
  EXPECT_EQ(progress_bar(kTraining, 130),
            "training  [###.....................]   12 %  1,234 of 9,600 steps  1:06 h left  "
            "loss 6.7948  168,796 events/s  epoch 3 of 20");
  EXPECT_EQ(progress_bar(kTraining, 79),
            "training  [#.........]   12 %  1:06 h left  loss 6.7948  168,796 events/s");
  EXPECT_EQ(progress_bar(kTraining, 39), " 12 %  1:06 h left  loss 6.7948");
  EXPECT_EQ(progress_bar(kTraining, 20), " 12 %  1:06 h left");
  EXPECT_EQ(progress_bar(kTraining, 3), " 12");
}

TEST(ProgressBar, NeedsATotal) {
  EXPECT_EQ(progress_bar({"reading", "lines", 12345, 0, -1, {}}, 79), "reading  12,345 lines");
}

}  // namespace
}  // namespace seqrank
