// What the ranks that hold a table together have of it, and how they tell each other: items to rows
// that are here, and values of all ranks side by side. Scores nothing.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "backend/context.h"
#include "models/nn/tape.h"

namespace seqrank {

// Rows of those items that are here, and where they stand in the list.
struct RowsHere {
  std::vector<std::int32_t> rows;
  std::vector<std::int64_t> places;
};
RowsHere rows_here(const RowSplit& split, std::span<const std::int32_t> items);

Tensor host_memory(Context& ctx, DType type, Shape shape);  // contents undefined
Tensor on_device(Context& ctx, std::span<const std::int32_t> values);

// What each rank of the group has of x_N, [ranks * N]; both in host memory. Collective among them.
Tensor of_all_ranks(Context& ctx, const TableRanks& ranks, const Tensor& x_N);

}  // namespace seqrank
