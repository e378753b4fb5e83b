// Through the device, since it is devices that exchange.
#include "trainer/table_parts.h"

#include <algorithm>

#include "backend/ops/activation.h"
#include "backend/transfer.h"

namespace seqrank {

RowsHere rows_here(const RowSplit& split, std::span<const std::int32_t> items) {
  RowsHere found;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (items[i] % split.ranks != split.place) continue;
    found.rows.push_back(items[i] / split.ranks);
    found.places.push_back(static_cast<std::int64_t>(i));
  }
  return found;
}

Tensor host_memory(Context& ctx, DType type, Shape shape) {
  return Tensor(ctx.host_arena(), type, shape, Tag::workspace);
}

Tensor on_device(Context& ctx, std::span<const std::int32_t> values) {
  Tensor host = host_memory(ctx, DType::i32, {std::ssize(values)});
  std::ranges::copy(values, host.data<std::int32_t>());
  return to_device(ctx, host);
}

Tensor of_all_ranks(Context& ctx, const TableRanks& ranks, const Tensor& x_N) {
  if (ranks.count() == 1) return x_N;
  const std::int64_t n = x_N.numel(), place = ranks.place;
  Tensor all_RN = ctx.empty(x_N.dtype(), {ranks.count() * n});
  Tensor own = all_RN.flat_range(place * n, (place + 1) * n);
  copy(ctx, own, to_device(ctx, x_N.reshape({n})));
  ranks.all_gather(all_RN);
  return to_host(ctx, all_RN);
}

}  // namespace seqrank
