// That a rate comes out at all: what it is depends on the machine, and is never asserted.
#include "backend/matmul_rate.h"

#include <gtest/gtest.h>

#include <cmath>

namespace seqrank {
namespace {

TEST(MatmulRate, IsMeasured) {
  Context ctx(Device::cpu, 1);
  const double rate = measured_matmul_rate(ctx);
  EXPECT_GT(rate, 0);
  EXPECT_TRUE(std::isfinite(rate));
  EXPECT_EQ(ctx.arena().bytes(Tag::workspace), 0u);
}

}  // namespace
}  // namespace seqrank
