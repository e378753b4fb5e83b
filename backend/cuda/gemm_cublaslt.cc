// gemm() by cuBLASLt. What the library is told of a product (layouts, algorithm) is asked for once
// and kept for products of the same shape and alignment: later ones allocate nothing and never
// wait. The library is column-major: it sees every row-major matrix transposed, and makes c^T = b^T
// a^T.
#include "backend/cuda/gemm.h"

#include <cublasLt.h>
#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <memory>

#include "backend/cuda/handles.h"
#include "backend/cuda/runtime.h"

namespace seqrank::cuda {
namespace {

constexpr std::int64_t kWorkspaceBytes = 32 << 20;  // what the library itself takes on an H100

void check(cublasStatus_t status, const char* what) {
  SR_CHECK(status == CUBLAS_STATUS_SUCCESS, ErrorKind::device, "{}: {}; try `seqrank doctor`", what,
           cublasLtGetStatusString(status));
}

template <auto destroy>
struct Destroy {
  template <class T>
  void operator()(T* handle) const {
    destroy(handle);
  }
};
template <class T, auto destroy>
using Owned = std::unique_ptr<std::remove_pointer_t<T>, Destroy<destroy>>;
using Handle = Owned<cublasLtHandle_t, cublasLtDestroy>;
using Description = Owned<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>;
using Layout = Owned<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;
using Preference = Owned<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy>;

// All that the choice of an algorithm may depend on.
struct Key {
  DType type;
  Multiply multiply;
  bool transpose_a, transpose_b, bias;
  std::int64_t m, n, k, stride_a, stride_b, stride_c;
  std::uint32_t align_a, align_b, align_c, align_bias;
  friend auto operator<=>(const Key&, const Key&) = default;
};

struct Plan {
  Description product;
  Layout a, b, c;
  cublasLtMatmulAlgo_t algorithm;
};

struct State {
  Handle handle;
  Tensor workspace;
  std::map<Key, Plan> plans;
};

State& state_of(Context& ctx) {
  std::shared_ptr<void>& kept = ctx.handles().matmul;
  if (kept == nullptr) {
    auto state = std::make_shared<State>();
    cublasLtHandle_t handle = nullptr;
    check(cublasLtCreate(&handle), "cublasLtCreate");
    state->handle.reset(handle);
    state->workspace = ctx.empty(DType::u8, {kWorkspaceBytes}, Tag::workspace);
    kept = state;
  }
  return *static_cast<State*>(kept.get());
}

// The largest power of two, up to 256, that divides the address.
std::uint32_t alignment(const void* address) {
  const auto bits = reinterpret_cast<std::uintptr_t>(address) | 256;
  return static_cast<std::uint32_t>(bits & -bits);
}

Key key_of(const Matrix& c, Factor a, Factor b, const Tensor& bias_N, Multiply multiply) {
  return {.type = a.matrix.dtype(),
          .multiply = multiply,
          .transpose_a = a.transpose == Transpose::yes,
          .transpose_b = b.transpose == Transpose::yes,
          .bias = static_cast<bool>(bias_N),
          .m = c.rows,
          .n = c.columns,
          .k = a.columns(),
          .stride_a = a.matrix.stride,
          .stride_b = b.matrix.stride,
          .stride_c = c.stride,
          .align_a = alignment(a.matrix.memory.raw()),
          .align_b = alignment(b.matrix.memory.raw()),
          .align_c = alignment(c.memory.raw()),
          .align_bias = alignment(bias_N.raw())};
}

cudaDataType_t library_type(DType type) {
  switch (type) {
    case DType::f32:
      return CUDA_R_32F;
    case DType::bf16:
      return CUDA_R_16BF;
    case DType::f16:
      return CUDA_R_16F;
    default:
      SR_ASSERT(false, "a product of {}", dtype_name(type));
  }
  return CUDA_R_32F;
}

template <class T>
void set(const Description& product, cublasLtMatmulDescAttributes_t what, const T& value) {
  check(cublasLtMatmulDescSetAttribute(product.get(), what, &value, sizeof value),
        "cublasLtMatmulDescSetAttribute");
}
template <class T>
void set(const Preference& preference, cublasLtMatmulPreferenceAttributes_t what, const T& value) {
  check(cublasLtMatmulPreferenceSetAttribute(preference.get(), what, &value, sizeof value),
        "cublasLtMatmulPreferenceSetAttribute");
}

Layout layout_of(const Matrix& matrix) {
  cublasLtMatrixLayout_t layout = nullptr;
  check(cublasLtMatrixLayoutCreate(&layout, library_type(matrix.dtype()),
                                   static_cast<std::uint64_t>(matrix.columns),
                                   static_cast<std::uint64_t>(matrix.rows), matrix.stride),
        "cublasLtMatrixLayoutCreate");
  return Layout(layout);
}

Preference preference_of(const Key& key) {
  cublasLtMatmulPreference_t made = nullptr;
  check(cublasLtMatmulPreferenceCreate(&made), "cublasLtMatmulPreferenceCreate");
  Preference preference(made);
  set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
      static_cast<std::uint64_t>(kWorkspaceBytes));
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, key.align_b);  // it sees b first
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, key.align_a);
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, key.align_c);
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, key.align_c);
  return preference;
}

void set_bias(const Description& product, const Tensor& bias_N) {
  set(product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias_N.raw());
}

Plan make_plan(State& state, const Key& key, const Matrix& c, Factor a, Factor b,
               const Tensor& bias_N) {
  Plan plan;
  cublasLtMatmulDesc_t product = nullptr;
  const bool tf32 = key.type == DType::f32 && key.multiply == Multiply::tf32;
  check(cublasLtMatmulDescCreate(&product, tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F,
                                 CUDA_R_32F),
        "cublasLtMatmulDescCreate");
  plan.product.reset(product);
  set(plan.product, CUBLASLT_MATMUL_DESC_TRANSA, key.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N);
  set(plan.product, CUBLASLT_MATMUL_DESC_TRANSB, key.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N);
  if (key.bias) {
    set(plan.product, CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
    set_bias(plan.product, bias_N);
  }
  plan.a = layout_of(a.matrix);
  plan.b = layout_of(b.matrix);
  plan.c = layout_of(c);

  cublasLtMatmulHeuristicResult_t found{};
  int count = 0;
  const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
      state.handle.get(), plan.product.get(), plan.b.get(), plan.a.get(), plan.c.get(),
      plan.c.get(), preference_of(key).get(), 1, &found, &count);
  SR_CHECK(status == CUBLAS_STATUS_SUCCESS && count == 1, ErrorKind::device,
           "cuBLASLt has no algorithm for a {} product of [{}, {}] by [{}, {}] ({}); try "
           "--precision=fp32",
           dtype_name(key.type), key.m, key.k, key.k, key.n, cublasLtGetStatusString(status));
  plan.algorithm = found.algo;
  return plan;
}

}  // namespace

void gemm(Context& ctx, Matrix& c, Factor a, Factor b, float alpha, float beta,
          const Tensor& bias_N, Multiply multiply) {
  expect_product(c, a, b, bias_N);
  State& state = state_of(ctx);
  const Key key = key_of(c, a, b, bias_N, multiply);
  auto place = state.plans.find(key);
  if (place == state.plans.end())
    place = state.plans.emplace(key, make_plan(state, key, c, a, b, bias_N)).first;
  const Plan& plan = place->second;
  if (key.bias) set_bias(plan.product, bias_N);
  const CurrentDevice current(ctx.ordinal());
  check(cublasLtMatmul(state.handle.get(), plan.product.get(), &alpha, b.matrix.memory.raw(),
                       plan.b.get(), a.matrix.memory.raw(), plan.a.get(), &beta, c.memory.raw(),
                       plan.c.get(), c.memory.raw(), plan.c.get(), &plan.algorithm,
                       state.workspace.raw(), kWorkspaceBytes, stream_of(ctx)),
        "cublasLtMatmul");
}

std::string matmul_library_version() {
  const std::size_t version = cublasLtGetVersion();
  return fmt::format("cuBLASLt {}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

}  // namespace seqrank::cuda
