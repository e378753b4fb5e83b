// Labels of what comes next, by hand.
#include "data/next_values.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "backend/context.h"

namespace seqrank {
namespace {

IdColumn column_of(Context& ctx, std::int64_t values, const std::vector<std::int32_t>& ids) {
  IdColumn column{values, ctx.empty(DType::i32, {std::ssize(ids)}), {}};
  std::ranges::copy(ids, column.id_N.data<std::int32_t>());
  return column;
}

TEST(NextValues, LookAheadInsideASequenceAndLeaveOutTheUnknown) {
  Context ctx(Device::cpu, 1);
  const std::vector<std::int32_t> offsets = {0, 3, 3, 5};
  const IdColumn column = column_of(ctx, 4, {3, 1, 0, 2, 2});
  Tensor offset_B1 = ctx.empty(DType::i32, {4});
  std::ranges::copy(offsets, offset_B1.data<std::int32_t>());
  const Tensor label_NK = next_values(ctx.arena(), column, offset_B1, 2);
  const std::vector<std::uint8_t> expected = {0, 1, 0, 1,  // 3, then 1
                                              0, 1, 0, 0,  // 1, then unknown
                                              0, 0, 0, 0,  // unknown, then the end
                                              0, 0, 1, 0,  //
                                              0, 0, 1, 0};
  const auto label = label_NK.span<std::uint8_t>();
  EXPECT_EQ(std::vector<std::uint8_t>(label.begin(), label.end()), expected);
}

TEST(KnownValues, AreThoseOfEventsThatAreNotUnknown) {
  Context ctx(Device::cpu, 1);
  const auto listed = [](const Tensor& tensor) {
    const auto span = tensor.span<std::int32_t>();
    return std::vector<std::int32_t>(span.begin(), span.end());
  };
  const KnownValues some = known_values(ctx.arena(), column_of(ctx, 3, {0, 2, 1, 0, 2}));
  EXPECT_EQ(listed(some.event_M), (std::vector<std::int32_t>{1, 2, 4}));
  EXPECT_EQ(listed(some.id_M), (std::vector<std::int32_t>{2, 1, 2}));
  const KnownValues none = known_values(ctx.arena(), column_of(ctx, 3, {0, 0}));
  EXPECT_TRUE(none.event_M);
  EXPECT_EQ(none.event_M.dim(0) + none.id_M.dim(0), 0);
}

}  // namespace
}  // namespace seqrank
