// Shapes, views that share storage, element types.
#include "backend/tensor.h"

#include <gtest/gtest.h>

namespace seqrank {
namespace {

TEST(Shape, CountsAndPrints) {
  EXPECT_EQ(Shape({2, 3, 4}).numel(), 24);
  EXPECT_EQ(Shape({2, 0}).numel(), 0);
  EXPECT_EQ(Shape().numel(), 1);
  EXPECT_EQ(Shape({32, 64}).str(), "[32, 64]");
  EXPECT_EQ(Shape({2, 3}), Shape({2, 3}));
  EXPECT_FALSE(Shape({6}) == Shape({6, 0}));
}

TEST(Tensor, DefaultIsAbsent) {
  Arena arena;
  EXPECT_FALSE(Tensor());
  EXPECT_TRUE(Tensor(arena, DType::f32, {0, 3}, Tag::batch));  // empty is not absent
}

TEST(Tensor, SizesFollowTheType) {
  Arena arena;
  EXPECT_EQ(Tensor(arena, DType::f32, {3, 5}, Tag::batch).bytes(), 60u);
  EXPECT_EQ(Tensor(arena, DType::f64, {3}, Tag::batch).bytes(), 24u);
  EXPECT_EQ(Tensor(arena, DType::bf16, {3}, Tag::batch).bytes(), 6u);
  EXPECT_EQ(Tensor(arena, DType::i32, {3}, Tag::batch).bytes(), 12u);
  EXPECT_EQ(Tensor(arena, DType::i64, {3}, Tag::batch).bytes(), 24u);
  EXPECT_EQ(Tensor(arena, DType::u8, {3}, Tag::batch).bytes(), 3u);
}

TEST(Tensor, ViewsShareStorage) {
  Arena arena;
  Tensor x(arena, DType::i32, {4, 3}, Tag::batch);
  for (int i = 0; i < 12; ++i) x.data<std::int32_t>()[i] = i;
  Tensor rows = x.rows(1, 3);
  EXPECT_EQ(rows.shape(), Shape({2, 3}));
  EXPECT_EQ(rows.data<std::int32_t>()[0], 3);
  rows.data<std::int32_t>()[0] = -3;
  EXPECT_EQ(x.data<std::int32_t>()[3], -3);
  EXPECT_EQ(x.reshape({2, 6}).rows(1, 2).data<std::int32_t>()[0], 6);
  EXPECT_EQ(x.flat_range(5, 9).shape(), Shape({4}));
  EXPECT_EQ(x.flat_range(5, 9).span<std::int32_t>()[3], 8);
  EXPECT_EQ(x.rows(4, 4).numel(), 0);
  EXPECT_EQ(rows.rows(1, 2).data<std::int32_t>()[2], 8);  // a view of a view
}

TEST(Tensor, AViewKeepsTheStorageAlive) {
  Arena arena;
  Tensor view;
  {
    Tensor x(arena, DType::f32, {100}, Tag::activation);
    view = x.rows(10, 20);
  }
  EXPECT_GT(arena.bytes(Tag::activation), 0u);
  view = Tensor();
  EXPECT_EQ(arena.bytes(Tag::activation), 0u);
}

TEST(TensorDeathTest, RefusesTheWrongTypeAndRange) {
  Arena arena;
  Tensor x(arena, DType::f32, {4, 3}, Tag::batch);
  EXPECT_DEATH(x.data<std::int32_t>(), "tensor is f32, used as i32");
  EXPECT_DEATH(x.rows(2, 5), "rows 2..5 of \\[4, 3\\]");
  EXPECT_DEATH(x.reshape({5}), "\\[4, 3\\] as \\[5\\]");
}

}  // namespace
}  // namespace seqrank
