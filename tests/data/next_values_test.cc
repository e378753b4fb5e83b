// Labels of what comes next, by hand.
#include "data/next_values.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "backend/context.h"

namespace seqrank {
namespace {

TEST(NextValues, LookAheadInsideASequence) {
  Context ctx(Device::cpu, 1);
  const std::vector<std::int32_t> ids = {2, 0, 0, 1, 1}, offsets = {0, 3, 3, 5};
  IdColumn column{3, ctx.empty(DType::i32, {5}), {}};
  Tensor offset_B1 = ctx.empty(DType::i32, {4});
  std::ranges::copy(ids, column.id_N.data<std::int32_t>());
  std::ranges::copy(offsets, offset_B1.data<std::int32_t>());
  const Tensor label_NK = next_values(ctx.arena(), column, offset_B1, 2);
  const std::vector<std::uint8_t> expected = {1, 0, 1, 1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 1, 0};
  const auto label = label_NK.span<std::uint8_t>();
  EXPECT_EQ(std::vector<std::uint8_t>(label.begin(), label.end()), expected);
}

}  // namespace
}  // namespace seqrank
