// Each event left out once, with all that is known of the others.
#include "data/leave_one_out.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/loader.h"
#include "tests/data/data_test_support.h"

namespace seqrank {
namespace {

template <class T>
std::vector<T> values(const Tensor& x) {
  const auto span = x.span<T>();
  return {span.begin(), span.end()};
}

Tensor ids(Arena& arena, const std::vector<std::int32_t>& values) {
  Tensor x(arena, DType::i32, {static_cast<std::int64_t>(values.size())}, Tag::batch);
  std::ranges::copy(values, x.data<std::int32_t>());
  return x;
}

TEST(LeaveOneOut, SequencesOfTheOthersWithTheirColumns) {
  Arena arena;
  Batch one;
  one.sequences = 1;
  one.events = 3;
  one.item_N = ids(arena, {7, 8, 9});
  one.sequence_B = {5};
  one.ids["position"] = {10, ids(arena, {0, 1, 2}), {}};
  one.ids["action"] = {4, ids(arena, {3, 1, 2}), {}};
  one.numbers["price"] = Tensor(arena, DType::f32, {3, 1}, Tag::batch);
  for (int i = 0; i < 3; ++i) one.numbers["price"].data<float>()[i] = 0.5f * static_cast<float>(i);
  const Batch batch = leave_one_out(arena, one, 0, 3);
  EXPECT_EQ(batch.sequences, 3);
  EXPECT_EQ(batch.events, 6);
  using Ids = std::vector<std::int32_t>;
  EXPECT_EQ(values<std::int32_t>(batch.item_N), (Ids{8, 9, 7, 9, 7, 8}));
  EXPECT_EQ(values<std::int32_t>(batch.ids.at("position").id_N), (Ids{0, 1, 0, 1, 0, 1}));
  EXPECT_EQ(values<std::int32_t>(batch.ids.at("action").id_N), (Ids{1, 2, 3, 2, 3, 1}));
  EXPECT_EQ(values<float>(batch.numbers.at("price")), (std::vector<float>{.5, 1, 0, 1, 0, .5}));
  EXPECT_EQ(values<std::int32_t>(batch.offset_B1), (Ids{0, 2, 4, 6}));
  EXPECT_EQ(values<std::int32_t>(batch.last_B), (Ids{1, 3, 5}));
  EXPECT_EQ(batch.sequence_B, (std::vector<std::int64_t>{5, 5, 5}));
  EXPECT_EQ(batch.sequences_at_T, (Ids{3, 3}));
  const Batch part = leave_one_out(arena, one, 1, 2);
  EXPECT_EQ(values<std::int32_t>(part.item_N), (Ids{7, 9}));
}

}  // namespace
}  // namespace seqrank
