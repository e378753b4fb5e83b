// The learning-rate curve at its corners.
#include "trainer/schedule.h"

#include <gtest/gtest.h>

#include <cmath>

namespace seqrank {
namespace {

TEST(Schedule, RisesLinearlyThenStays) {
  const Schedule schedule{Schedule::Kind::constant, 0.4, 4, 100, 0.5};
  EXPECT_DOUBLE_EQ(schedule.rate(0), 0.1);
  EXPECT_DOUBLE_EQ(schedule.rate(2), 0.3);
  EXPECT_DOUBLE_EQ(schedule.rate(3), 0.4);
  EXPECT_DOUBLE_EQ(schedule.rate(4), 0.4);
  EXPECT_DOUBLE_EQ(schedule.rate(1000), 0.4);
}

TEST(Schedule, FallsByAHalfCosineToItsShareAndNoFurther) {
  const Schedule schedule{Schedule::Kind::cosine, 2, 10, 110, 0.1};
  EXPECT_DOUBLE_EQ(schedule.rate(9), 2);
  EXPECT_DOUBLE_EQ(schedule.rate(10), 2);
  EXPECT_NEAR(schedule.rate(60), 2 * (0.1 + 0.9 * 0.5), 1e-12);
  EXPECT_NEAR(schedule.rate(35), 2 * (0.1 + 0.9 * 0.5 * (1 + std::sqrt(0.5))), 1e-12);
  EXPECT_NEAR(schedule.rate(110), 0.2, 1e-12);
  EXPECT_NEAR(schedule.rate(500), 0.2, 1e-12);
}

TEST(Schedule, IsDefinedWithoutWarmupAndWhereWarmupIsTheWholeRun) {
  EXPECT_DOUBLE_EQ((Schedule{Schedule::Kind::cosine, 1, 0, 10, 0}).rate(0), 1);
  const Schedule all{Schedule::Kind::cosine, 1, 10, 10, 0};
  EXPECT_DOUBLE_EQ(all.rate(9), 1);
  EXPECT_DOUBLE_EQ(all.rate(10), 1);
}

}  // namespace
}  // namespace seqrank
