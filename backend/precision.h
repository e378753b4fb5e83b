// In what type matrix products multiply. Tensors are fp32 whatever the precision: operands are
// rounded on their way into a product and its sums are fp32, as are softmax, reductions,
// normalisation and the gates of a recurrence.
#pragma once

#include <optional>
#include <string_view>

namespace seqrank {

enum class Precision { fp32, tf32, bf16, fp16 };

constexpr const char* precision_name(Precision precision) {
  switch (precision) {
    case Precision::fp32:
      return "fp32";
    case Precision::tf32:
      return "tf32";
    case Precision::bf16:
      return "bf16";
    case Precision::fp16:
      return "fp16";
  }
  return "?";
}

constexpr std::optional<Precision> precision_from_name(std::string_view name) {
  for (Precision precision : {Precision::fp32, Precision::tf32, Precision::bf16, Precision::fp16}) {
    if (name == precision_name(precision)) return precision;
  }
  return std::nullopt;
}

}  // namespace seqrank
