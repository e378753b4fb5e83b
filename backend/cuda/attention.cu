// Multi-head attention on a CUDA device: picks the kernels by what is multiplied, and adds up the
// gradients of the bias tables from those of the blocks.
#include "backend/cuda/attention.h"

#include <cmath>

#include "backend/cuda/kernels.h"
#include "backend/cuda/runtime.h"
#include "device_code.h"
#include "launch.h"

namespace seqrank::cuda {
namespace {

constexpr int kLanes = 32, kParts = 8;

// table_HX += the sum over the parts [heads, parts, columns] of the columns [begin, begin + X).
// Block: {32 columns, a head}; eight threads share a column, their sums are added in order.
__global__ void add_tables_kernel(float* table_HX, const float* part, int width, int begin,
                                  int columns, int parts) {
  SHARED_ARRAY(float, sums, kParts* kLanes);
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  const int share = static_cast<int>(threadIdx.x) / kLanes;
  const int column = static_cast<int>(blockIdx.x) * kLanes + lane;
  const float* from = part + static_cast<std::int64_t>(blockIdx.y) * parts * columns + begin;
  float sum = 0;
  if (column < width)
    for (int i = share; i < parts; i += kParts)
      sum += from[static_cast<std::int64_t>(i) * columns + column];
  sums[share * kLanes + lane] = sum;
  __syncthreads();
  if (share != 0 || column >= width) return;
  for (int i = 1; i < kParts; ++i) sum += sums[i * kLanes + lane];
  table_HX[static_cast<std::int64_t>(blockIdx.y) * width + column] += sum;
}

void add_tables(Context& ctx, Tensor& table_HX, const Tensor& part, std::int64_t begin) {
  if (!table_HX || part.dim(1) == 0) return;
  const std::int64_t width = table_HX.dim(1);
  launch<add_tables_kernel>({dim3(static_cast<unsigned>((width + kLanes - 1) / kLanes),
                                  static_cast<unsigned>(table_HX.dim(0))),
                             kLanes * kParts},
                            stream_of(ctx), update<float>(table_HX), in<float>(part),
                            static_cast<int>(width), static_cast<int>(begin),
                            static_cast<int>(part.dim(2)), static_cast<int>(part.dim(1)));
}

// What is multiplied; f32 where it is fp32.
DType product_type(const Context& ctx, const Tensor& q_NHK) {
  if (q_NHK.dtype() != DType::f32) return q_NHK.dtype();
  switch (ctx.precision()) {
    case Precision::bf16:
      return DType::bf16;
    case Precision::fp16:
      return DType::f16;
    case Precision::fp32:
    case Precision::tf32:
      break;
  }
  return DType::f32;
}

AttentionNumbers numbers_of(const AttentionOptions& options, const Tensor& q_NHK,
                            const AttentionBias& bias) {
  const std::int64_t width = q_NHK.dim(2);
  SR_CHECK(width > 0 && width % 8 == 0 && width <= 128, ErrorKind::usage,
           "attention with heads {} wide; on a CUDA device a head is 8, 16, 24, ... or 128 wide: "
           "change --model.width or the number of heads, or use --device cpu",
           width);
  const DropoutKey& key = options.dropout;
  return {.heads = static_cast<int>(q_NHK.dim(1)),
          .width = static_cast<int>(width),
          .wide = q_NHK.dtype() == DType::f32,
          .causal = options.mask == AttentionMask::causal,
          .scale = options.scale,
          .distances = bias.position_HR ? static_cast<int>(bias.position_HR.dim(1)) : 0,
          .times = bias.time_HT ? static_cast<int>(bias.time_HT.dim(1)) : 0,
          .seed = key.seed,
          .layer = key.layer,
          // uniform_float(word) < rate, as a comparison of integers.
          .threshold = static_cast<std::uint32_t>(std::ceil(double{key.rate} * 0x1p24)),
          .kept = 1.0f / (1.0f - key.rate)};
}

}  // namespace

void multi_head_attention(Context& ctx, const AttentionOptions& options, Tensor& o_NHK,
                          Tensor& lse_NH, const Tensor& q_NHK, const Tensor& k_NHK,
                          const Tensor& v_NHK, const AttentionBias& bias, const Tensor& place_B,
                          const Tensor& offset_B1) {
  if (q_NHK.numel() == 0) return;
  const AttentionOperands x = {numbers_of(options, q_NHK, bias),
                               options.max_length,
                               q_NHK,
                               k_NHK,
                               v_NHK,
                               bias,
                               place_B,
                               offset_B1};
  const DType type = product_type(ctx, q_NHK);
  if (type == DType::f32)
    attention_fp32(ctx, x, o_NHK, lse_NH);
  else
    attention_16(ctx, type, x, o_NHK, lse_NH);
}

void multi_head_attention_backward(Context& ctx, const AttentionOptions& options, Tensor& dq_NHK,
                                   Tensor& dk_NHK, Tensor& dv_NHK, Tensor& dposition_HR,
                                   Tensor& dtime_HT, const Tensor& do_NHK, const Tensor& o_NHK,
                                   const Tensor& lse_NH, const Tensor& q_NHK, const Tensor& k_NHK,
                                   const Tensor& v_NHK, const AttentionBias& bias,
                                   const Tensor& place_B, const Tensor& offset_B1) {
  if (q_NHK.numel() == 0) return;
  const AttentionOperands x = {numbers_of(options, q_NHK, bias),
                               options.max_length,
                               q_NHK,
                               k_NHK,
                               v_NHK,
                               bias,
                               place_B,
                               offset_B1};
  const DType type = product_type(ctx, q_NHK);
  Tensor delta_NH = ctx.empty(DType::f32, lse_NH.shape(), Tag::workspace), tables;
  if (dposition_HR || dtime_HT)
    tables = ctx.empty(DType::f32,
                       {x.numbers.heads, x.sequences() * x.tiles(kTableRows),
                        x.numbers.distances + x.numbers.times},
                       Tag::workspace);
  AttentionGradients g = {dq_NHK, dk_NHK, dv_NHK, delta_NH, do_NHK, o_NHK, lse_NH, tables};
  if (type == DType::f32) {
    attention_fp32_query(ctx, x, g);
    attention_fp32_key(ctx, x, g);
  } else {
    attention_16_query(ctx, type, x, g);
    attention_16_key(ctx, type, x, g);
  }
  add_tables(ctx, dposition_HR, tables, 0);
  add_tables(ctx, dtime_HT, tables, x.numbers.distances);
}

}  // namespace seqrank::cuda
