// What a device makes of a wanted precision.
#include "backend/context.h"
#include "backend/cpu/gemm.h"

namespace seqrank {

std::string Context::set_precision(Precision wanted) {
  precision_ = wanted;
  if (device_ != Device::cpu || wanted == Precision::fp32) return "";
  SR_CHECK(wanted != Precision::fp16, ErrorKind::usage,
           "fp16 is for GPUs; on a CPU choose --train.precision=bf16 or fp32");
  if (wanted == Precision::bf16 && cpu::has_bf16_products()) return "";
  precision_ = Precision::fp32;
  return fmt::format("{} is wanted, but this CPU {}: matrix products are in fp32",
                     precision_name(wanted),
                     wanted == Precision::tf32 ? "knows no such type" : "has no bf16 products");
}

}  // namespace seqrank
