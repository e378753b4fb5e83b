// Contract of the row operators: shapes, then the device's implementation.
#include "backend/ops/embedding.h"

#include "backend/cpu/kernels.h"
#include "backend/dispatch.h"
#include "backend/ops/expect.h"

namespace seqrank {
namespace {

void check_rows(const char* op, DType type, const Tensor& table_VD, const Tensor& id_N,
                const Tensor& y_ND) {
  expect_rank(op, "table_VD", table_VD, 2);
  expect_rank(op, "id_N", id_N, 1);
  const std::int64_t d = table_VD.dim(1), n = id_N.dim(0);
  expect(op, "table_VD", table_VD, type, {table_VD.dim(0), d});
  expect(op, "id_N", id_N, DType::i32, {n});
  expect(op, "y_ND", y_ND, DType::f32, {n, d});
}

}  // namespace

void gather_rows(Context& ctx, Tensor& y_ND, const Tensor& table_VD, const Tensor& id_N) {
  const DType type = table_VD.dtype() == DType::bf16 ? DType::bf16 : DType::f32;
  check_rows("gather_rows", type, table_VD, id_N, y_ND);
  SR_DISPATCH(ctx, gather_rows, y_ND, table_VD, id_N);
}

void scatter_add_rows(Context& ctx, Tensor& table_VD, const Tensor& id_N, const Tensor& y_ND) {
  check_rows("scatter_add_rows", DType::f32, table_VD, id_N, y_ND);
  SR_DISPATCH(ctx, scatter_add_rows, table_VD, id_N, y_ND);
}

}  // namespace seqrank
