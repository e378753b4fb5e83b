// gemm() on the emulated device: the CPU's product in the order of the stream, with the accesses of
// the vendor's library, its workspace included. 16-bit factors are widened first: their products
// are exact in fp32, as they are on a GPU.
#include <omp.h>

#include <vector>

#include "backend/cpu/gemm.h"
#include "backend/cuda/gemm.h"
#include "backend/cuda/handles.h"
#include "backend/cuda/number.h"
#include "backend/cuda/runtime.h"

namespace seqrank::cuda {
namespace {

struct State {
  Tensor workspace;
};

State& state_of(Context& ctx) {
  std::shared_ptr<void>& kept = ctx.handles().matmul;
  if (kept == nullptr) kept = std::make_shared<State>(ctx.empty(DType::u8, {256}, Tag::workspace));
  return *static_cast<State*>(kept.get());
}

// A factor with its memory as the host sees it.
struct HostFactor {
  const void* data;
  DType type;
  std::int64_t rows, columns, stride;
  Transpose transpose;

  template <class T>
  std::vector<float> widened() const {
    std::vector<float> values(rows * columns);
    const T* from = static_cast<const T*>(data);
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t c = 0; c < columns; ++c)
        values[r * columns + c] = to_float(from[r * stride + c]);
    return values;
  }
};

template <class T>
HostFactor add_factor(std::vector<emu::Range>& ranges, Factor factor) {
  const Matrix& matrix = factor.matrix;
  const auto access = in(matrix.span<T>());
  ranges.push_back(emu::range(access));
  return {emu::on_host(access), matrix.dtype(), matrix.rows,
          matrix.columns,       matrix.stride,  factor.transpose};
}

HostFactor add_any_factor(std::vector<emu::Range>& ranges, Factor factor) {
  switch (factor.matrix.dtype()) {
    case DType::bf16:
      return add_factor<__nv_bfloat16>(ranges, factor);
    case DType::f16:
      return add_factor<__half>(ranges, factor);
    default:
      return add_factor<float>(ranges, factor);
  }
}

// values: filled with the factor where it is not f32.
cpu::MatrixView view(const HostFactor& factor, std::vector<float>& values) {
  if (factor.type == DType::f32)
    return {static_cast<const float*>(factor.data), factor.stride, factor.transpose};
  values = factor.type == DType::bf16 ? factor.widened<__nv_bfloat16>() : factor.widened<__half>();
  return {values.data(), factor.columns, factor.transpose};
}

void add_bias(float* c, const float* bias, std::int64_t m, std::int64_t n, std::int64_t stride) {
  for (std::int64_t i = 0; i < m; ++i)
    for (std::int64_t j = 0; j < n; ++j) c[i * stride + j] += bias[j];
}

}  // namespace

void gemm(Context& ctx, Matrix& c, Factor a, Factor b, float alpha, float beta,
          const Tensor& bias_N, Multiply) {
  expect_product(c, a, b, bias_N);
  State& state = state_of(ctx);
  if (ctx.plans()) return;
  std::vector<emu::Range> ranges;
  const HostFactor left = add_any_factor(ranges, a), right = add_any_factor(ranges, b);
  const bool written = beta == 0 && c.stride == c.columns;
  const Access<float> sum = written ? out(c.span<float>()) : update(c.span<float>());
  ranges.push_back(emu::range(sum));
  ranges.push_back(emu::range(in<float>(bias_N)));
  ranges.push_back(emu::range(update<std::uint8_t>(state.workspace)));
  float* const to = emu::on_host(sum);
  const float* const bias = bias_N ? emu::on_host(in<float>(bias_N)) : nullptr;
  emu::enqueue(stream_of(ctx), "matrix product", std::move(ranges),
               [=, m = c.rows, n = c.columns, k = a.columns(), stride = c.stride] {
                 omp_set_num_threads(1);  // of a stream's thread: ranks share the machine
                 std::vector<float> a_values, b_values;
                 cpu::gemm(m, n, k, alpha, view(left, a_values), view(right, b_values), beta, to,
                           stride);
                 if (bias != nullptr) add_bias(to, bias, m, n, stride);
               });
}

std::string gemm_library_version() {
  return "emulated cuBLASLt";
}

}  // namespace seqrank::cuda
