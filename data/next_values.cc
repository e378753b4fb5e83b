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
        label[n * column.values + id_N[m]] = 1;
  return label_NK;
}

}  // namespace seqrank
