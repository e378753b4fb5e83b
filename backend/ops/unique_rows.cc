// The sorting of ids, on the host, and the contract of the sums: shapes, then the device's
// implementation.
#include "backend/ops/unique_rows.h"

#include <algorithm>
#include <vector>

#include "backend/cpu/kernels.h"
#include "backend/dispatch.h"
#include "backend/ops/expect.h"

namespace seqrank {

UniqueRows unique_rows(Arena& arena, std::span<const std::int32_t> id_N) {
  const auto n = static_cast<std::int64_t>(id_N.size());
  std::vector<std::uint64_t> sorted(id_N.size());  // id, then event
  for (std::size_t i = 0; i < id_N.size(); ++i)
    sorted[i] = static_cast<std::uint64_t>(id_N[i]) << 32 | i;
  std::ranges::sort(sorted);

  UniqueRows rows;
  rows.place_N = Tensor(arena, DType::i32, {n}, Tag::batch);
  rows.order_N = Tensor(arena, DType::i32, {n}, Tag::batch);
  std::vector<std::int32_t> ids, offsets;
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    const auto id = static_cast<std::int32_t>(sorted[i] >> 32);
    const auto event = static_cast<std::int32_t>(sorted[i] & 0xffffffffu);
    if (ids.empty() || ids.back() != id) {
      ids.push_back(id);
      offsets.push_back(static_cast<std::int32_t>(i));
    }
    rows.order_N.data<std::int32_t>()[i] = event;
    rows.place_N.data<std::int32_t>()[event] = static_cast<std::int32_t>(ids.size()) - 1;
  }
  offsets.push_back(static_cast<std::int32_t>(n));
  const auto u = static_cast<std::int64_t>(ids.size());
  rows.id_U = Tensor(arena, DType::i32, {u}, Tag::batch);
  rows.offset_U1 = Tensor(arena, DType::i32, {u + 1}, Tag::batch);
  std::ranges::copy(ids, rows.id_U.data<std::int32_t>());
  std::ranges::copy(offsets, rows.offset_U1.data<std::int32_t>());
  return rows;
}

void sum_rows(Context& ctx, Tensor& sum_UD, const Tensor& x_ND, const UniqueRows& rows) {
  const char* const op = "sum_rows";
  expect_rank(op, "x_ND", x_ND, 2);
  expect_rank(op, "id_U", rows.id_U, 1);
  const std::int64_t n = x_ND.dim(0), d = x_ND.dim(1), u = rows.id_U.dim(0);
  expect(op, "x_ND", x_ND, DType::f32, {n, d});
  expect(op, "sum_UD", sum_UD, DType::f32, {u, d});
  expect(op, "place_N", rows.place_N, DType::i32, {n});
  expect(op, "order_N", rows.order_N, DType::i32, {n});
  expect(op, "offset_U1", rows.offset_U1, DType::i32, {u + 1});
  SR_DISPATCH(ctx, sum_rows, sum_UD, x_ND, rows);
}

}  // namespace seqrank
