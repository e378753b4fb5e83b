// gemm() by cuBLASLt. Which algorithm is asked of the library once a shape, and kept. Numbers of
// events differ from batch to batch: shapes that differ in nothing else share the algorithm of one
// of them, so that the choice depends on no history. Later products allocate nothing and never
// wait. The library is column-major: it sees every row-major matrix transposed, and makes c^T = b^T
// a^T.
#include "backend/cuda/gemm.h"

#include <cublasLt.h>

#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "backend/cuda/handles.h"
#include "backend/cuda/runtime.h"

namespace seqrank::cuda {
namespace {

constexpr std::int64_t kWorkspaceBytes = 32 << 20;  // what the library itself takes on an H100

void check(cublasStatus_t status, const char* what) {
  SR_CHECK(status == CUBLAS_STATUS_SUCCESS, ErrorKind::device, "{}: {}; try `seqrank doctor`", what,
           cublasLtGetStatusString(status));
}

// All that the choice of an algorithm may depend on.
struct Key {
  DType type;
  Multiply multiply;
  bool transpose_a, transpose_b, bias;
  std::int64_t m, n, k, stride_a, stride_b, stride_c;
  std::uint32_t align_a, align_b, align_c, align_bias;
  friend auto operator<=>(const Key&, const Key&) = default;
};

struct DestroyHandle {
  void operator()(cublasLtContext* handle) const { cublasLtDestroy(handle); }
};
struct State {
  std::unique_ptr<cublasLtContext, DestroyHandle> handle;
  Tensor workspace;
  std::map<Key, cublasLtMatmulAlgo_t> algorithms;
};

State& state_of(Context& ctx) {
  std::shared_ptr<void>& kept = ctx.handles().matmul;
  if (kept == nullptr) {
    auto state = std::make_shared<State>();
    if (!ctx.plans()) {
      cublasLtHandle_t handle = nullptr;
      use_device(ctx.ordinal());
      check(cublasLtCreate(&handle), "cublasLtCreate");
      state->handle.reset(handle);
    }
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

// The shape whose algorithm `key` takes: extents that are rows of all matrices they belong to, as
// numbers of events are, go up to the next multiple of 256.
Key shared_shape(Key key) {
  const auto up = [](std::int64_t rows) { return rows <= 512 ? rows : (rows + 255) / 256 * 256; };
  if (!key.transpose_a) key.m = up(key.m);
  if (key.transpose_a && !key.transpose_b) key.k = up(key.k);
  return key;
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

// A product as the library is told of it.
class Description {
 public:
  Description(const Key& key, const Tensor& bias_N) {
    const bool tf32 = key.type == DType::f32 && key.multiply == Multiply::tf32;
    check(cublasLtMatmulDescInit(
              &product_, tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUDA_R_32F),
          "cublasLtMatmulDescInit");
    set(CUBLASLT_MATMUL_DESC_TRANSA, key.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(CUBLASLT_MATMUL_DESC_TRANSB, key.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N);
    if (key.bias) {
      set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
      set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias_N.raw());
    }
    const cudaDataType_t type = library_type(key.type);
    set(a_, type, key.m, key.k, key.transpose_a, key.stride_a);
    set(b_, type, key.k, key.n, key.transpose_b, key.stride_b);
    set(c_, CUDA_R_32F, key.m, key.n, false, key.stride_c);
  }
  cublasLtMatmulDesc_t product() { return &product_; }
  cublasLtMatrixLayout_t a() { return &a_; }
  cublasLtMatrixLayout_t b() { return &b_; }
  cublasLtMatrixLayout_t c() { return &c_; }

 private:
  template <class T>
  void set(cublasLtMatmulDescAttributes_t what, const T& value) {
    check(cublasLtMatmulDescSetAttribute(&product_, what, &value, sizeof value),
          "cublasLtMatmulDescSetAttribute");
  }
  // op(matrix) is [rows, columns].
  static void set(cublasLtMatrixLayoutOpaque_t& layout, cudaDataType_t type, std::int64_t rows,
                  std::int64_t columns, bool transposed, std::int64_t stride) {
    if (transposed) std::swap(rows, columns);
    check(cublasLtMatrixLayoutInit(&layout, type, static_cast<std::uint64_t>(columns),
                                   static_cast<std::uint64_t>(rows), stride),
          "cublasLtMatrixLayoutInit");
  }

  cublasLtMatmulDescOpaque_t product_{};
  cublasLtMatrixLayoutOpaque_t a_{}, b_{}, c_{};
};

template <class T>
void set(cublasLtMatmulPreferenceOpaque_t& preference, cublasLtMatmulPreferenceAttributes_t what,
         const T& value) {
  check(cublasLtMatmulPreferenceSetAttribute(&preference, what, &value, sizeof value),
        "cublasLtMatmulPreferenceSetAttribute");
}

cublasLtMatmulAlgo_t best_algorithm(const State& state, const Key& key, const Tensor& bias_N) {
  Description described(key, bias_N);
  cublasLtMatmulPreferenceOpaque_t preference{};
  check(cublasLtMatmulPreferenceInit(&preference), "cublasLtMatmulPreferenceInit");
  set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
      static_cast<std::uint64_t>(kWorkspaceBytes));
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, key.align_b);  // it sees b first
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, key.align_a);
  // An algorithm reads the bias as it writes the product; there is no preference of its own for it.
  const std::uint32_t align_out = std::min(key.align_c, key.align_bias);
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, align_out);
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, align_out);
  cublasLtMatmulHeuristicResult_t found{};
  int count = 0;
  const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
      state.handle.get(), described.product(), described.b(), described.a(), described.c(),
      described.c(), &preference, 1, &found, &count);
  SR_CHECK(status == CUBLAS_STATUS_SUCCESS && count == 1, ErrorKind::device,
           "cuBLASLt has no algorithm for a {} product of [{}, {}] by [{}, {}] ({}); try "
           "--train.precision=fp32",
           dtype_name(key.type), key.m, key.k, key.k, key.n, cublasLtGetStatusString(status));
  return found.algo;
}

// Whether an algorithm of the shared shape serves this one.
bool serves(const State& state, const cublasLtMatmulAlgo_t& algorithm, Description& described) {
  cublasLtMatmulHeuristicResult_t result{};
  const cublasStatus_t status =
      cublasLtMatmulAlgoCheck(state.handle.get(), described.product(), described.b(), described.a(),
                              described.c(), described.c(), &algorithm, &result);
  return status == CUBLAS_STATUS_SUCCESS && result.workspaceSize <= std::size_t{kWorkspaceBytes};
}

// A pure function of the key, asked of the library once a key.
cublasLtMatmulAlgo_t algorithm_of(State& state, const Key& key, Description& described,
                                  const Tensor& bias_N) {
  if (const auto known = state.algorithms.find(key); known != state.algorithms.end())
    return known->second;
  const Key shared = shared_shape(key);
  auto place = state.algorithms.find(shared);
  if (place == state.algorithms.end())
    place = state.algorithms.emplace(shared, best_algorithm(state, shared, bias_N)).first;
  if (shared == key) return place->second;
  const cublasLtMatmulAlgo_t algorithm =
      serves(state, place->second, described) ? place->second : best_algorithm(state, key, bias_N);
  return state.algorithms.emplace(key, algorithm).first->second;
}

}  // namespace

void gemm(Context& ctx, Matrix& c, Factor a, Factor b, float alpha, float beta,
          const Tensor& bias_N, Multiply multiply) {
  expect_product(c, a, b, bias_N);
  State& state = state_of(ctx);
  if (ctx.plans()) return;
  use_device(ctx.ordinal());
  const Key key = key_of(c, a, b, bias_N, multiply);
  Description described(key, bias_N);
  const cublasLtMatmulAlgo_t algorithm = algorithm_of(state, key, described, bias_N);
  check(cublasLtMatmul(state.handle.get(), described.product(), &alpha, b.matrix.memory.raw(),
                       described.b(), a.matrix.memory.raw(), described.a(), &beta, c.memory.raw(),
                       described.c(), c.memory.raw(), described.c(), &algorithm,
                       state.workspace.raw(), kWorkspaceBytes, stream_of(ctx)),
        "cublasLtMatmul");
}

std::string gemm_library_version() {
  const std::size_t version = cublasLtGetVersion();  // 130002, as CUBLAS_VERSION
  return fmt::format("cuBLASLt {}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

}  // namespace seqrank::cuda
