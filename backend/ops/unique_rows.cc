// The sorting of ids, on the host, and the contract of the sums: shapes, then the device's
// implementation.
#include "backend/ops/unique_rows.h"

#include <algorithm>
#include <vector>

#include "backend/cpu/kernels.h"
#include "backend/dispatch.h"
#include "backend/ops/activation.h"
#include "backend/ops/expect.h"

namespace seqrank {

namespace {

// Id, then event; by rising id, those of one id in rising order.
std::vector<std::uint64_t> sorted_events(std::span<const std::int32_t> id_N) {
  std::vector<std::uint64_t> sorted(id_N.size());
  for (std::size_t i = 0; i < id_N.size(); ++i)
    sorted[i] = static_cast<std::uint64_t>(id_N[i]) << 32 | i;
  std::ranges::sort(sorted);
  return sorted;
}

std::int32_t id_of(std::uint64_t entry) {
  return static_cast<std::int32_t>(entry >> 32);
}

// id_U rises and has all ids of the list.
UniqueRows rows_among(Arena& arena, const Tensor& id_U, const std::vector<std::uint64_t>& sorted) {
  const auto n = static_cast<std::int64_t>(sorted.size());
  UniqueRows rows;
  rows.id_U = id_U;
  rows.place_N = Tensor(arena, DType::i32, {n}, Tag::batch);
  rows.order_N = Tensor(arena, DType::i32, {n}, Tag::batch);
  rows.offset_U1 = Tensor(arena, DType::i32, {id_U.numel() + 1}, Tag::batch);
  std::int32_t* const place = rows.place_N.data<std::int32_t>();
  std::int32_t* const order = rows.order_N.data<std::int32_t>();
  std::int32_t* const offset = rows.offset_U1.data<std::int32_t>();
  const auto ids = id_U.span<std::int32_t>();
  std::size_t i = 0;
  for (std::size_t u = 0; u < ids.size(); ++u) {
    offset[u] = static_cast<std::int32_t>(i);
    for (; i < sorted.size() && id_of(sorted[i]) == ids[u]; ++i) {
      order[i] = static_cast<std::int32_t>(sorted[i] & 0xffffffffu);
      place[order[i]] = static_cast<std::int32_t>(u);
    }
  }
  offset[ids.size()] = static_cast<std::int32_t>(n);
  return rows;
}

}  // namespace

UniqueRows unique_rows(Arena& arena, std::span<const std::int32_t> id_N) {
  return shared_unique_rows(arena, {id_N}).front();
}

std::vector<UniqueRows> shared_unique_rows(
    Arena& arena, std::initializer_list<std::span<const std::int32_t>> lists) {
  std::vector<std::vector<std::uint64_t>> sorted;
  std::vector<std::int32_t> ids;
  for (const auto& list : lists) {
    sorted.push_back(sorted_events(list));
    for (std::size_t i = 0; i < list.size(); ++i) {
      const std::int32_t id = id_of(sorted.back()[i]);
      if (i == 0 || id != ids.back()) ids.push_back(id);
    }
  }
  if (lists.size() > 1) {
    std::ranges::sort(ids);
    ids.erase(std::ranges::unique(ids).begin(), ids.end());
  }
  Tensor id_U(arena, DType::i32, {static_cast<std::int64_t>(ids.size())}, Tag::batch);
  std::ranges::copy(ids, id_U.data<std::int32_t>());
  std::vector<UniqueRows> rows;
  for (const auto& list : sorted) rows.push_back(rows_among(arena, id_U, list));
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
  if (n == 0) {
    fill(ctx, sum_UD, 0);
    return;
  }
  SR_DISPATCH(ctx, sum_rows, sum_UD, x_ND, rows);
}

}  // namespace seqrank
