// Rows summed over the events that share them, on a CUDA device. The events, sorted by row, are cut
// into pieces of kPlaces, whatever the rows, so that a row that most events share is no longer to
// wait for than others. What of a row lies beyond the piece it begins in is carried: a second
// launch adds it, in rising order. Bound by memory: 4 bytes an element of x and as many a sum; what
// is carried is at most 1 / kPlaces of x. Thread: a column of a piece, its reads independent.
#include "backend/cuda/elements.h"
#include "backend/cuda/kernels.h"
#include "backend/cuda/runtime.h"
#include "device_code.h"

namespace seqrank::cuda {
namespace {

constexpr std::int64_t kPlaces = 16;

__global__ void sum_pieces_kernel(float* sum_UD, float* carried_PD, const float* x_ND,
                                  const std::int32_t* order_N, const std::int32_t* place_N,
                                  const std::int32_t* offset_U1, std::int64_t events,
                                  std::int64_t rows, std::int64_t d) {
  const std::int64_t piece = row_index(), column = column_index();
  const std::int64_t begin = piece * kPlaces, end = min(events, begin + kPlaces);
  if (begin >= events || column >= d) return;
  // Rows without events: those before the first that has some, and those behind each.
  const auto clear = [&](std::int64_t u) {
    for (; u < rows && offset_U1[u] == offset_U1[u + 1]; ++u) sum_UD[u * d + column] = 0;
  };
  if (piece == 0) clear(0);
  for (std::int64_t i = begin; i < end;) {
    const std::int32_t u = place_N[order_N[i]];
    const std::int64_t last = min(end, std::int64_t{offset_U1[u + 1]});
    float sum = 0;
#pragma unroll 4
    for (; i < last; ++i) sum += x_ND[order_N[i] * d + column];
    if (offset_U1[u] >= begin) {
      sum_UD[u * d + column] = sum;
      clear(u + 1);
    } else {
      carried_PD[piece * d + column] = sum;
    }
  }
}

// The first piece that carries something of a row adds all that is carried of it.
__global__ void add_carried_kernel(float* sum_UD, const float* carried_PD,
                                   const std::int32_t* order_N, const std::int32_t* place_N,
                                   const std::int32_t* offset_U1, std::int64_t events,
                                   std::int64_t d) {
  const std::int64_t piece = row_index(), column = column_index();
  const std::int64_t begin = piece * kPlaces;
  if (begin >= events || column >= d) return;
  const std::int32_t u = place_N[order_N[begin]];
  const std::int64_t first = offset_U1[u], last = offset_U1[u + 1];
  if (first >= begin || first < begin - kPlaces) return;
  float sum = sum_UD[u * d + column];
#pragma unroll 4
  for (std::int64_t p = piece; p * kPlaces < last; ++p) sum += carried_PD[p * d + column];
  sum_UD[u * d + column] = sum;
}

}  // namespace

void sum_rows(Context& ctx, Tensor& sum_UD, const Tensor& x_ND, const UniqueRows& rows) {
  const std::int64_t events = x_ND.dim(0), d = x_ND.dim(1);
  const std::int64_t pieces = (events + kPlaces - 1) / kPlaces;
  Tensor carried_PD = ctx.empty(DType::f32, {pieces, d}, Tag::workspace);
  launch<sum_pieces_kernel>(per_row_and_column(pieces, d), stream_of(ctx), out<float>(sum_UD),
                            update<float>(carried_PD), in<float>(x_ND),
                            in<std::int32_t>(rows.order_N), in<std::int32_t>(rows.place_N),
                            in<std::int32_t>(rows.offset_U1), events, sum_UD.dim(0), d);
  launch<add_carried_kernel>(per_row_and_column(pieces, d), stream_of(ctx), update<float>(sum_UD),
                             in<float>(carried_PD), in<std::int32_t>(rows.order_N),
                             in<std::int32_t>(rows.place_N), in<std::int32_t>(rows.offset_U1),
                             events, d);
}

}  // namespace seqrank::cuda
