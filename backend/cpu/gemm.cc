// Matrix products by oneDNN's sgemm, the only one in the program: a second library would bring its
// own threads. Empty products are settled here, since the library refuses strides of zero.
#include "backend/cpu/gemm.h"

#include <dnnl.h>
#include <fmt/core.h>

#include <algorithm>

#include "backend/check.h"
#include "backend/cpu/sanitizer.h"

namespace seqrank::cpu {
namespace {

// Without the product, what is left is c = beta c.
void scale_only(std::int64_t m, std::int64_t n, float beta, float* c, std::int64_t stride) {
  for (std::int64_t i = 0; i < m; ++i) {
    float* const row = c + i * stride;
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

void gemm(std::int64_t m, std::int64_t n, std::int64_t k, float alpha, const MatrixView& a,
          const MatrixView& b, float beta, float* c, std::int64_t stride_c) {
  if (m == 0 || n == 0) return;
  if (k == 0) return scale_only(m, n, beta, c, stride_c);
  const bool flip_a = a.transpose == Transpose::yes;
  const bool flip_b = b.transpose == Transpose::yes;
  announce_read(a.data, flip_a ? extent_bytes(k, m, a.stride) : extent_bytes(m, k, a.stride));
  announce_read(b.data, flip_b ? extent_bytes(n, k, b.stride) : extent_bytes(k, n, b.stride));
  announce_write(c, extent_bytes(m, n, stride_c));
  const dnnl_status_t status = dnnl_sgemm(flip_a ? 'T' : 'N', flip_b ? 'T' : 'N', m, n, k, alpha,
                                          a.data, a.stride, b.data, b.stride, beta, c, stride_c);
  SR_CHECK(
      status == dnnl_success, ErrorKind::device,
      "oneDNN refused a matrix product of [{}, {}] by [{}, {}] (status {}): most likely out of "
      "memory; lower --train.batch or --model.width",
      m, k, k, n, static_cast<int>(status));
}

std::string gemm_library_version() {
  const dnnl_version_t* version = dnnl_version();
  return fmt::format("oneDNN {}.{}.{}", version->major, version->minor, version->patch);
}

}  // namespace seqrank::cpu
