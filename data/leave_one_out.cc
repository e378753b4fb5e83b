// Copies of host memory; knows no data set.
#include "data/leave_one_out.h"

#include <cstring>

#include "backend/check.h"
#include "data/windows.h"

namespace seqrank {
namespace {

// Rows of x_N... for each left-out event the others.
Tensor without_one(Arena& arena, const Tensor& x, std::int64_t begin, std::int64_t end) {
  if (!x) return {};
  const std::int64_t n = x.dim(0);
  const std::size_t row = n > 0 ? x.bytes() / static_cast<std::size_t>(n) : 0;
  const std::int64_t kept = (end - begin) * (n - 1);
  Tensor y(arena, x.dtype(), x.shape().rank() == 2 ? Shape{kept, x.dim(1)} : Shape{kept},
           Tag::batch);
  auto* to = static_cast<std::byte*>(y.raw());
  const auto* from = static_cast<const std::byte*>(x.raw());
  for (std::int64_t out = begin; out < end; ++out) {
    const std::size_t before = static_cast<std::size_t>(out) * row;
    const std::size_t after = static_cast<std::size_t>(n - out - 1) * row;
    std::memcpy(to, from, before);
    std::memcpy(to + before, from + before + row, after);
    to += before + after;
  }
  return y;
}

}  // namespace

Batch leave_one_out(Arena& arena, const Batch& one, std::int64_t begin, std::int64_t end) {
  SR_ASSERT(one.sequences == 1 && one.events >= 2, "{} sequences, {} events", one.sequences,
            one.events);
  SR_ASSERT(0 <= begin && begin < end && end <= one.events, "events {}..{} of {}", begin, end,
            one.events);
  Batch batch;
  batch.sequences = end - begin;
  batch.events = batch.sequences * (one.events - 1);
  batch.item_N = without_one(arena, one.item_N, begin, end);
  batch.time_N = without_one(arena, one.time_N, begin, end);
  batch.label_N = without_one(arena, one.label_N, begin, end);
  for (const auto& [name, column] : one.ids)
    batch.ids[name] = {column.values, without_one(arena, column.id_N, begin, end), {}};
  for (const auto& [name, number_N1] : one.numbers)
    batch.numbers[name] = without_one(arena, number_N1, begin, end);
  const Window rest{one.sequence_B.at(0), 0, one.events - 1};
  set_sequences(arena, std::vector<Window>(batch.sequences, rest), batch);
  std::memset(batch.place_B.raw(), 0, batch.place_B.bytes());  // of dropout, which there is none
  const auto position = batch.ids.find("position");
  if (position != batch.ids.end()) {
    auto id_N = position->second.id_N.span<std::int32_t>();
    for (std::size_t i = 0; i < id_N.size(); ++i)
      id_N[i] = static_cast<std::int32_t>(static_cast<std::int64_t>(i) % (one.events - 1));
  }
  return batch;
}

}  // namespace seqrank
