// Inverted dropout on a CUDA device: a thread a counter of Philox, that is four columns of an
// event. Bound by memory, 8 bytes an element; the ten rounds of a counter are about as long as its
// four elements take to arrive. A thread finds its sequence itself: neighbours ask for the same
// offsets.
#include <cmath>

#include "backend/cuda/elements.h"
#include "backend/cuda/kernels.h"
#include "backend/cuda/runtime.h"
#include "backend/philox.h"
#include "device_code.h"

namespace seqrank::cuda {
namespace {

// The last sequence that begins at or before event n: empty ones before it are passed over.
__device__ std::int32_t sequence_of(const std::int32_t* offset_B1, std::int32_t sequences,
                                    std::int64_t n) {
  std::int32_t low = 0, high = sequences;  // offset[low] <= n < offset[high]
  while (high - low > 1) {
    const std::int32_t middle = low + (high - low) / 2;
    (offset_B1[middle] <= n ? low : high) = middle;
  }
  return low;
}

// y may be x. vectors: both can be read as float4.
template <bool vectors>
__global__ void dropout_kernel(float* y_ND, const float* x_ND, DropoutKey key,
                               std::uint32_t threshold, float kept, const std::int64_t* place_B,
                               const std::int32_t* offset_B1, std::int32_t sequences,
                               std::int64_t events, std::int64_t d) {
  const std::int64_t n = row_index(), group = column_index();
  if (n >= events || 4 * group >= d) return;
  const std::int64_t first = n * d + 4 * group;
  float4 x{};
  if constexpr (vectors) x = *reinterpret_cast<const float4*>(x_ND + first);
  const std::int32_t b = sequence_of(offset_B1, sequences, n);
  const auto place = static_cast<std::uint64_t>(place_B[b]);
  const Philox4 words =
      philox(key.seed, Purpose::dropout,
             {static_cast<std::uint32_t>(place), static_cast<std::uint32_t>(place >> 32),
              static_cast<std::uint32_t>(n - offset_B1[b]),
              key.layer << 24 | static_cast<std::uint32_t>(group)});
  const auto factor = [&](int l) { return (words[l] >> 8) >= threshold ? kept : 0.f; };
  if constexpr (vectors) {
    *reinterpret_cast<float4*>(y_ND + first) =
        make_float4(x.x * factor(0), x.y * factor(1), x.z * factor(2), x.w * factor(3));
  } else {
    for (int l = 0; l < 4; ++l)
      if (4 * group + l < d) y_ND[first + l] = x_ND[first + l] * factor(l);
  }
}

}  // namespace

void dropout(Context& ctx, Tensor& y_ND, const Tensor& x_ND, const DropoutKey& key,
             const Tensor& place_B, const Tensor& offset_B1) {
  const std::int64_t events = x_ND.dim(0), d = x_ND.dim(1);
  // uniform_float(word) >= rate, as a comparison of integers.
  const auto threshold = static_cast<std::uint32_t>(std::ceil(double{key.rate} * 0x1p24));
  const auto run = [&]<bool vectors>() {
    launch<dropout_kernel<vectors>>(
        per_row_and_column(events, (d + 3) / 4), stream_of(ctx), update<float>(y_ND),
        in<float>(x_ND), key, threshold, 1.f / (1.f - key.rate), in<std::int64_t>(place_B),
        in<std::int32_t>(offset_B1), static_cast<std::int32_t>(place_B.dim(0)), events, d);
  };
  if (rows_of_float4(d, {y_ND.raw(), x_ND.raw()}))
    run.template operator()<true>();
  else
    run.template operator()<false>();
}

}  // namespace seqrank::cuda
