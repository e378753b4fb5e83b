// Matrix products by oneDNN's sgemm, the only one in the program: a second library would bring its
// own threads. Knows nothing of layers.
#include "backend/cpu/matmul.h"

#include <dnnl.h>
#include <omp.h>

#include <algorithm>

#include "backend/cpu/sanitizer.h"

namespace seqrank::cpu {
namespace {

// Without the product, what is left is c = beta c.
void scale_only(MutableMatrix c, std::int64_t m, std::int64_t n, float beta) {
  for (std::int64_t i = 0; i < m; ++i) {
    float* row = c.data + i * c.stride;
    if (beta == 0)
      std::fill(row, row + n, 0.0f);  // not 0 * c, which would keep a NaN
    else
      for (std::int64_t j = 0; j < n; ++j) row[j] *= beta;
  }
}

std::size_t extent_bytes(std::int64_t rows, std::int64_t columns, std::int64_t stride) {
  return static_cast<std::size_t>((rows - 1) * stride + columns) * sizeof(float);
}

}  // namespace

void product(Context& ctx, MutableMatrix c, ConstMatrix a, ConstMatrix b, std::int64_t m,
             std::int64_t n, std::int64_t k, float alpha, float beta) {
  if (m == 0 || n == 0) return;
  if (k == 0) return scale_only(c, m, n, beta);
  const bool flip_a = a.transpose == Transpose::yes;
  const bool flip_b = b.transpose == Transpose::yes;
  announce_read(a.data, flip_a ? extent_bytes(k, m, a.stride) : extent_bytes(m, k, a.stride));
  announce_read(b.data, flip_b ? extent_bytes(n, k, b.stride) : extent_bytes(k, n, b.stride));
  announce_write(c.data, extent_bytes(m, n, c.stride));
  // Several contexts may live on one thread: the count of this one holds.
  if (!omp_in_parallel()) omp_set_num_threads(ctx.threads());
  const dnnl_status_t status =
      dnnl_sgemm(flip_a ? 'T' : 'N', flip_b ? 'T' : 'N', m, n, k, alpha, a.data, a.stride, b.data,
                 b.stride, beta, c.data, c.stride);
  SR_CHECK(status == dnnl_success, ErrorKind::device,
           "oneDNN refused a matrix product of [{}, {}] by [{}, {}] (status {}), most likely out "
           "of memory; lower --train.batch or --model.width",
           m, k, k, n, static_cast<int>(status));
}

void matmul(Context& ctx, Tensor& c_MN, const Tensor& a, Transpose transpose_a, const Tensor& b,
            Transpose transpose_b, float alpha, float beta) {
  const std::int64_t k = a.dim(transpose_a == Transpose::yes ? 0 : 1);
  product(ctx, {c_MN.data<float>(), c_MN.dim(1)}, {a.data<float>(), a.dim(1), transpose_a},
          {b.data<float>(), b.dim(1), transpose_b}, c_MN.dim(0), c_MN.dim(1), k, alpha, beta);
}

}  // namespace seqrank::cpu
