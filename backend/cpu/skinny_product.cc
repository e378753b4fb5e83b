// The register-blocked kernel: up to kMaxRows x kMaxVectors accumulators stay in registers over the
// whole depth. Every element is one chain of multiply-adds in rising k, so that the split of rows
// into blocks and threads cannot change a bit.
#include "backend/cpu/skinny_product.h"

#include <algorithm>

#include "backend/bf16.h"
#include "backend/cpu/skinny_product_bf16.h"

namespace seqrank::cpu {
namespace {

#ifdef __AVX512F__
constexpr int kLanes = 16, kMaxVectors = 4, kMaxRows = 6;  // 24 of 32 registers accumulate
#else
constexpr int kLanes = 8, kMaxVectors = 2, kMaxRows = 6;  // 12 of 16
#endif
constexpr int kPanel = kLanes * kMaxVectors;

typedef float Vector __attribute__((vector_size(kLanes * sizeof(float)), aligned(4), may_alias));

// c [R, V vectors] = a [R, depth] panel [depth, V vectors].
template <int R, int V>
void block(float* c, std::int64_t stride, const float* a, const float* panel, std::int64_t depth) {
  Vector sum[R][V] = {};
  for (std::int64_t k = 0; k < depth; ++k) {
    const Vector* b = reinterpret_cast<const Vector*>(panel + k * V * kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const float a_rk = a[r * depth + k];
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) sum[r][v] += a_rk * b[v];
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) *reinterpret_cast<Vector*>(c + r * stride + v * kLanes) = sum[r][v];
  }
}

using Block = void (*)(float*, std::int64_t, const float*, const float*, std::int64_t);

template <int V>
Block block_of_rows(std::int64_t rows) {
  static constexpr Block kBlocks[kMaxRows] = {block<1, V>, block<2, V>, block<3, V>,
                                              block<4, V>, block<5, V>, block<6, V>};
  return kBlocks[rows - 1];
}

Block choose_block(std::int64_t rows, std::int64_t vectors) {
  if (vectors == 1) return block_of_rows<1>(rows);
  if (vectors == 2) return block_of_rows<2>(rows);
  if constexpr (kMaxVectors > 2) {
    if (vectors == 3) return block_of_rows<3>(rows);
  }
  return block_of_rows<kMaxVectors>(rows);
}

struct Strides {
  const float* data;
  std::int64_t k, n;  // elements from one k, one n to the next
};

// Panel by panel, `together` of k at a time side by side, zeros beyond the ends.
template <class To, class Convert>
void pack(To* to, std::int64_t panel, std::int64_t together, const Strides& from,
          std::int64_t depth, std::int64_t columns, std::int64_t stride, Convert convert) {
  for (std::int64_t begin = 0; begin < stride; begin += panel) {
    const std::int64_t end = std::min(begin + panel, stride);
    for (std::int64_t first = 0; first < depth; first += together) {
      for (std::int64_t n = begin; n < end; ++n) {
        for (std::int64_t k = first; k < first + together; ++k) {
          const bool there = n < columns && k < depth;
          *to++ = convert(there ? from.data[k * from.k + n * from.n] : 0.0f);
        }
      }
    }
  }
}

}  // namespace

PackedMatrix::PackedMatrix(Context& ctx, const Tensor& w, Layout layout) {
  const bool as_is = layout == Layout::as_is, bf16 = ctx.precision() == Precision::bf16;
  depth_ = w.dim(as_is ? 0 : 1);
  const std::int64_t columns = w.dim(as_is ? 1 : 0);
  const std::int64_t lanes = bf16 ? kBf16Lanes : kLanes;
  stride_ = (columns + lanes - 1) / lanes * lanes;
  const Strides from{w.data<float>(), as_is ? columns : 1, as_is ? 1 : depth_};
  if (bf16) {
    packed_ = ctx.empty(DType::bf16, {2 * bf16_pairs(depth_), stride_}, Tag::workspace);
    pack(bf16_data(packed_), kBf16Panel, 2, from, depth_, columns, stride_, to_bf16);
  } else {
    packed_ = ctx.empty(DType::f32, {depth_, stride_}, Tag::workspace);
    pack(packed_.data<float>(), kPanel, 1, from, depth_, columns, stride_,
         [](float x) { return x; });
  }
}

void PackedMatrix::multiply(float* c, const float* a, std::int64_t rows) const {
  if (rows == 0) return;
  if (packed_.dtype() == DType::bf16)
    return multiply_bf16(c, stride_, a, rows, depth_, bf16_data(packed_));
  // Panels outside: one panel stays in the first cache while all rows go over it. Blocks of nearly
  // equal height, since a block of one row waits for its own additions.
  const std::int64_t blocks = (rows + kMaxRows - 1) / kMaxRows;
  for (std::int64_t begin = 0; begin < stride_; begin += kPanel) {
    const std::int64_t width = std::min<std::int64_t>(kPanel, stride_ - begin);
    const float* panel = packed_.data<float>() + begin * depth_;
    for (std::int64_t i = 0; i < blocks; ++i) {
      const std::int64_t row = rows * i / blocks, next = rows * (i + 1) / blocks;
      choose_block(next - row, width / kLanes)(c + row * stride_ + begin, stride_, a + row * depth_,
                                               panel, depth_);
    }
  }
}

}  // namespace seqrank::cpu
