// Fault plans: what is read, what is refused, what is done.
#include "trainer/fault.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backend/check.h"

namespace seqrank {
namespace {

TEST(Fault, ActsAtItsPointOnItsRank) {
  const FaultPlan plan = FaultPlan::parse("checkpoint.after_shard_fsync:rank=1:fail");
  EXPECT_NO_THROW(plan.at("checkpoint.after_shard_fsync", 0));
  EXPECT_NO_THROW(plan.at("checkpoint.before_shard", 1));
  EXPECT_THROW(plan.at("checkpoint.after_shard_fsync", 1), Error);
  EXPECT_THROW(FaultPlan::parse("checkpoint.mid_prune:fail").at("checkpoint.mid_prune", 5), Error);
  EXPECT_DEATH(FaultPlan::parse("checkpoint.mid_prune:kill").at("checkpoint.mid_prune", 0), "");
}

TEST(Fault, EmptyPlanDoesNothing) {
  FaultPlan().at("checkpoint.before_shard", 0);
  FaultPlan::parse("").at("checkpoint.before_shard", 0);
}

TEST(Fault, RefusesWhatWouldDoNothing) {
  for (const char* text : {"checkpoint.typo:kill", "checkpoint.before_shard",
                           "checkpoint.before_shard:explode", "checkpoint.before_shard:rank=x:kill",
                           "checkpoint.before_shard:1:kill", "checkpoint.before_shard:sleep=-1"}) {
    try {
      FaultPlan::parse(text);
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage) << text;
    }
  }
}

}  // namespace
}  // namespace seqrank
