// Matrix products by oneDNN, the only ones in the program: a second library would bring its own
// threads. Empty products are settled here, since the library refuses strides of zero. fp32 goes to
// sgemm; bf16 to gemm_bf16.cc.
#include "backend/cpu/gemm.h"

#include <dnnl.h>
#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "backend/check.h"
#include "backend/cpu/gemm_bf16.h"
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

std::size_t extent_bytes(std::int64_t rows, std::int64_t columns, std::int64_t stride, DType type) {
  return static_cast<std::size_t>((rows - 1) * stride + columns) * dtype_size(type);
}

void announce_operand(const MatrixView& view, std::int64_t rows, std::int64_t columns) {
  if (view.flipped()) std::swap(rows, columns);
  announce_read(view.data(), extent_bytes(rows, columns, view.stride(), view.type()));
}

int gemm_f32(std::int64_t m, std::int64_t n, std::int64_t k, float alpha, const MatrixView& a,
             const MatrixView& b, float beta, float* c, std::int64_t stride_c) {
  return dnnl_sgemm(a.flipped() ? 'T' : 'N', b.flipped() ? 'T' : 'N', m, n, k, alpha,
                    static_cast<const float*>(a.data()), a.stride(),
                    static_cast<const float*>(b.data()), b.stride(), beta, c, stride_c);
}

}  // namespace

void gemm(std::int64_t m, std::int64_t n, std::int64_t k, float alpha, const MatrixView& a,
          const MatrixView& b, float beta, float* c, std::int64_t stride_c) {
  const bool bf16 = a.type() == DType::bf16;
  SR_ASSERT(a.type() == b.type(), "a product of {} and {}", dtype_name(a.type()),
            dtype_name(b.type()));
  SR_ASSERT(!bf16 || (alpha == 1 && (beta == 0 || beta == 1)), "alpha {} and beta {} in bf16",
            alpha, beta);
  if (m == 0 || n == 0) return;
  if (k == 0) return scale_only(m, n, beta, c, stride_c);
  announce_operand(a, m, k);
  announce_operand(b, k, n);
  announce_write(c, extent_bytes(m, n, stride_c, DType::f32));
  const int status =
      bf16 ? gemm_bf16(m, n, k, a, b, beta == 0 ? Into::written : Into::added, c, stride_c)
           : gemm_f32(m, n, k, alpha, a, b, beta, c, stride_c);
  SR_CHECK(status == dnnl_success, ErrorKind::device,
           "oneDNN refused a {} matrix product of [{}, {}] by [{}, {}] (status {}): most likely "
           "out of memory; lower --train.batch or --model.width",
           dtype_name(a.type()), m, k, k, n, status);
}

std::string gemm_library_version() {
  const dnnl_version_t* version = dnnl_version();
  return fmt::format("oneDNN {}.{}.{}", version->major, version->minor, version->patch);
}

}  // namespace seqrank::cpu
