// Host work, where a batch is made.
#include "data/next_values.h"

#include <algorithm>

namespace seqrank {

Tensor next_values(Arena& arena, const IdColumn& column, const Tensor& offset_B1,
                   std::int64_t ahead) {
  const auto id_N = column.id_N.span<std::int32_t>();
  const auto offset = offset_B1.span<std::int32_t>();
  Tensor label_NK(arena, DType::u8, {column.id_N.dim(0), column.values}, Tag::batch);
  auto label = label_NK.span<std::uint8_t>();
  std::ranges::fill(label, std::uint8_t{0});
  for (std::size_t b = 0; b + 1 < offset.size(); ++b)
    for (std::int64_t n = offset[b]; n < offset[b + 1]; ++n)
      for (std::int64_t m = n; m < std::min<std::int64_t>(n + ahead, offset[b + 1]); ++m)
        if (id_N[m] != 0) label[n * column.values + id_N[m]] = 1;
  return label_NK;
}

KnownValues known_values(Arena& arena, const IdColumn& column) {
  const auto id_N = column.id_N.span<std::int32_t>();
  const std::int64_t count = std::ssize(id_N) - std::ranges::count(id_N, 0);
  KnownValues known{Tensor(arena, DType::i32, {count}, Tag::batch),
                    Tensor(arena, DType::i32, {count}, Tag::batch)};
  std::int64_t at = 0;
  for (std::size_t n = 0; n < id_N.size(); ++n) {
    if (id_N[n] == 0) continue;
    known.event_M.data<std::int32_t>()[at] = static_cast<std::int32_t>(n);
    known.id_M.data<std::int32_t>()[at++] = id_N[n];
  }
  return known;
}

}  // namespace seqrank
