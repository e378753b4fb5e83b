// Contract of row_dot(): shapes, then the device's implementation.
#include "backend/ops/row_dot.h"

#include "backend/dispatch.h"
#include "backend/ops/expect.h"

namespace seqrank {
namespace cpu {

void row_dot(Context& ctx, Tensor& y_N, const Tensor& a_ND, const Tensor& b_ND);
void row_dot_backward(Context& ctx, Tensor& da_ND, Tensor& db_ND, const Tensor& dy_N,
                      const Tensor& a_ND, const Tensor& b_ND);

}  // namespace cpu

void row_dot(Context& ctx, Tensor& y_N, const Tensor& a_ND, const Tensor& b_ND) {
  expect_rank("row_dot", "a_ND", a_ND, 2);
  const std::int64_t n = a_ND.dim(0), d = a_ND.dim(1);
  expect("row_dot", "a_ND", a_ND, DType::f32, {n, d});
  expect("row_dot", "b_ND", b_ND, DType::f32, {n, d});
  expect("row_dot", "y_N", y_N, DType::f32, {n});
  SR_DISPATCH(ctx, row_dot, y_N, a_ND, b_ND);
}

void row_dot_backward(Context& ctx, Tensor& da_ND, Tensor& db_ND, const Tensor& dy_N,
                      const Tensor& a_ND, const Tensor& b_ND) {
  const char* const op = "row_dot_backward";
  expect_rank(op, "a_ND", a_ND, 2);
  const std::int64_t n = a_ND.dim(0), d = a_ND.dim(1);
  expect(op, "da_ND", da_ND, DType::f32, {n, d});
  expect(op, "db_ND", db_ND, DType::f32, {n, d});
  expect(op, "a_ND", a_ND, DType::f32, {n, d});
  expect(op, "b_ND", b_ND, DType::f32, {n, d});
  expect(op, "dy_N", dy_N, DType::f32, {n});
  SR_DISPATCH(ctx, row_dot_backward, da_ND, db_ND, dy_N, a_ND, b_ND);
}

}  // namespace seqrank
