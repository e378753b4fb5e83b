// The matrix product against a triple loop: transposes, scales, empty extents.
#include "backend/ops/matmul.h"

#include "tests/support/op_case.h"

namespace seqrank {
namespace {

constexpr std::int64_t kSizes[][3] = {{1, 1, 1}, {3, 5, 7}, {17, 33, 65}, {64, 1, 130},
                                      {0, 4, 3}, {4, 0, 3}, {4, 3, 0},    {0, 0, 0}};

// Element (i, j) of op(x), x stored row-major with `columns`.
struct Operand {
  Transpose transpose;
  std::int64_t rows, columns;  // of op(x)
  std::int64_t at(std::int64_t i, std::int64_t j) const {
    return transpose == Transpose::yes ? j * rows + i : i * columns + j;
  }
  Shape shape() const {
    return transpose == Transpose::yes ? Shape{columns, rows} : Shape{rows, columns};
  }
};

void check_product(Device device, std::int64_t m, std::int64_t n, std::int64_t k, Transpose ta,
                   Transpose tb, float beta) {
  const Operand a{ta, m, k}, b{tb, k, n};
  const float alpha = 0.5f;
  OpCase c(fmt::format("m={} n={} k={} ta={} tb={} beta={}", m, n, k, int(ta), int(tb), beta),
           device);
  c.constant("a", a.shape()).constant("b", b.shape()).output("c", {m, n});
  if (beta == 1) c.added("c");
  c.reference([=](Values& v) {
    const auto &left = v["a"], &right = v["b"];
    auto& product = v["c"];
    for (std::int64_t i = 0; i < m; ++i)
      for (std::int64_t j = 0; j < n; ++j)
        for (std::int64_t l = 0; l < k; ++l)
          product[i * n + j] += alpha * left[a.at(i, l)] * right[b.at(l, j)];
  });
  c.run("matmul", [=](Context& ctx, Tensors& t) {
    matmul(ctx, t["c"], t["a"], ta, t["b"], tb, alpha, beta);
  });
  c.check();
}

SEQRANK_OP_TEST(Matmul, MatchesReference) {
  for (const auto& [m, n, k] : kSizes)
    for (Transpose ta : {Transpose::no, Transpose::yes})
      for (Transpose tb : {Transpose::no, Transpose::yes})
        for (float beta : {0.0f, 1.0f}) check_product(device, m, n, k, ta, tb, beta);
}

TEST(MatmulDeathTest, SaysWhichShapeIsWrong) {
  Context ctx(Device::cpu, 1);
  Tensor a = ctx.empty(DType::f32, {2, 3}), b = ctx.empty(DType::f32, {4, 5});
  Tensor c = ctx.empty(DType::f32, {2, 5});
  EXPECT_DEATH(matmul(ctx, c, a, Transpose::no, b, Transpose::no, 1, 0),
               "matmul: b is f32 \\[4, 5\\], expected f32 \\[3, 5\\]");
}

}  // namespace
}  // namespace seqrank
