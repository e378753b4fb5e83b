// Pointwise attention: one head of one sequence is one piece of work, done 64 queries at a time so
// that their scores stay in the cache; the products are the vendor's.
#include "backend/cpu/silu_attention.h"

#include <algorithm>
#include <cmath>

#include "backend/cpu/additive_attention.h"
#include "backend/cpu/attention_bias.h"
#include "backend/cpu/gemm.h"
#include "backend/cpu/vector_math.h"

namespace seqrank::cpu {
namespace {

constexpr std::int64_t kQueries = 64;

// One head of one sequence.
struct Piece {
  std::int64_t first, length, head;
};

// What forward and backward share: where things lie and the scores.
class Scores {
 public:
  Scores(const SiluAttentionOptions& options, const Tensor& q_NHK, const Tensor& k_NHK,
         const AttentionBias& bias, const Tensor& offset_B1)
      : share_(1 / options.normaliser),
        heads_(q_NHK.dim(1)),
        width_(q_NHK.dim(2)),
        sequences_(offset_B1.numel() - 1),
        q_(q_NHK.data<float>()),
        k_(k_NHK.data<float>()),
        offset_(offset_B1.data<std::int32_t>()),
        bias_(bias, AttentionMask::causal) {}

  std::int64_t pieces() const { return sequences_ * heads_; }
  Piece piece(std::int64_t index) const {
    const std::int64_t b = index / heads_;
    return {offset_[b], offset_[b + 1] - offset_[b], index % heads_};
  }
  std::int64_t element(const Piece& p, std::int64_t i) const {  // of event i of the piece
    return ((p.first + i) * heads_ + p.head) * width_;
  }
  std::int64_t stride() const { return heads_ * width_; }
  std::int64_t width() const { return width_; }
  float share() const { return share_; }
  const AttentionBiasTables& bias() const { return bias_; }

  // score [rows, keys] of the queries from `begin` on; those of the future mean nothing.
  void write(float* score, const Piece& p, std::int64_t begin, std::int64_t rows,
             std::int64_t keys) const {
    gemm(rows, keys, width_, 1, {q_ + element(p, begin), stride()},
         {k_ + element(p, 0), stride(), Transpose::yes}, 0, score, keys);
    for (std::int64_t i = 0; i < rows; ++i)
      bias_.add(score + i * keys, p.first, p.head, begin + i, begin + i + 1);
  }

 private:
  float share_;
  std::int64_t heads_, width_, sequences_;
  const float *q_, *k_;
  const std::int32_t* offset_;
  AttentionBiasTables bias_;
};

// The operands of backward, whole.
struct Backward {
  const float *dout, *q, *k, *v;
  float *dq, *dk, *dv;
};

// Scores of one query become weights, dweight their gradients those of the scores; zero for the
// `keys` behind the query's own.
void backward_row(float* score, float* dweight, float share, std::int64_t seen, std::int64_t keys) {
#pragma omp simd
  for (std::int64_t j = 0; j < seen; ++j) {
    const float s = score[j], gate = fast_sigmoid(s);
    score[j] = share * s * gate;
    dweight[j] *= share * gate * (1 + s * (1 - gate));
  }
  std::fill(score + seen, score + keys, 0.0f);
  std::fill(dweight + seen, dweight + keys, 0.0f);
}

// The queries [begin, begin + rows). scratch: twice [rows, keys].
void backward_rows(const Scores& s, const Backward& x, const Piece& p, std::int64_t begin,
                   std::int64_t rows, float* scratch, float* dtable) {
  const std::int64_t keys = begin + rows, stride = s.stride(), width = s.width();
  float *score = scratch, *dscore = score + rows * keys;
  const std::int64_t query = s.element(p, begin), key = s.element(p, 0);
  s.write(score, p, begin, rows, keys);
  gemm(rows, keys, width, 1, {x.dout + query, stride}, {x.v + key, stride, Transpose::yes}, 0,
       dscore, keys);
  for (std::int64_t i = 0; i < rows; ++i) {
    backward_row(score + i * keys, dscore + i * keys, s.share(), begin + i + 1, keys);
    s.bias().add_gradients(dtable, dscore + i * keys, p.first, begin + i, begin + i + 1);
  }
  gemm(keys, width, rows, 1, {score, keys, Transpose::yes}, {x.dout + query, stride}, 1, x.dv + key,
       stride);
  gemm(rows, width, keys, 1, {dscore, keys}, {x.k + key, stride}, 0, x.dq + query, stride);
  gemm(keys, width, rows, 1, {dscore, keys, Transpose::yes}, {x.q + query, stride}, 1, x.dk + key,
       stride);
}

}  // namespace

void silu_attention(Context& ctx, const SiluAttentionOptions& options, Tensor& o_NHK,
                    const Tensor& q_NHK, const Tensor& k_NHK, const Tensor& v_NHK,
                    const AttentionBias& bias, const Tensor& offset_B1) {
  const Scores s(options, q_NHK, k_NHK, bias, offset_B1);
  const float* v = v_NHK.data<float>();
  float* o = o_NHK.data<float>();
  const std::int64_t floats = kQueries * options.max_length;
  Tensor scratch = ctx.empty(DType::f32, {ctx.threads(), floats}, Tag::workspace);
  for_each_sequence(ctx, s.pieces(), [&](std::int64_t worker, std::int64_t index) {
    const Piece p = s.piece(index);
    float* score = scratch.data<float>() + worker * floats;
    for (std::int64_t begin = 0; begin < p.length; begin += kQueries) {
      const std::int64_t rows = std::min(kQueries, p.length - begin), keys = begin + rows;
      s.write(score, p, begin, rows, keys);
      for (std::int64_t i = 0; i < rows; ++i) {
        float* row = score + i * keys;
        const std::int64_t seen = begin + i + 1;
#pragma omp simd
        for (std::int64_t j = 0; j < seen; ++j) row[j] *= fast_sigmoid(row[j]);
        std::fill(row + seen, row + keys, 0.0f);
      }
      gemm(rows, s.width(), keys, s.share(), {score, keys}, {v + s.element(p, 0), s.stride()}, 0,
           o + s.element(p, begin), s.stride());
    }
  });
}

void silu_attention_backward(Context& ctx, const SiluAttentionOptions& options, Tensor& dq_NHK,
                             Tensor& dk_NHK, Tensor& dv_NHK, Tensor& dposition_HR, Tensor& dtime_HT,
                             const Tensor& do_NHK, const Tensor& q_NHK, const Tensor& k_NHK,
                             const Tensor& v_NHK, const AttentionBias& bias,
                             const Tensor& offset_B1) {
  const Scores s(options, q_NHK, k_NHK, bias, offset_B1);
  const Backward x{.dout = do_NHK.data<float>(),
                   .q = q_NHK.data<float>(),
                   .k = k_NHK.data<float>(),
                   .v = v_NHK.data<float>(),
                   .dq = dq_NHK.data<float>(),
                   .dk = dk_NHK.data<float>(),
                   .dv = dv_NHK.data<float>()};
  const std::int64_t floats = 2 * kQueries * options.max_length;
  Tensor scratch = ctx.empty(DType::f32, {ctx.threads(), floats}, Tag::workspace);
  // The tables' gradients of each piece, added in their order below: the same bits at any number of
  // threads.
  Tensor part = ctx.empty(DType::f32, {s.pieces(), s.bias().columns()}, Tag::workspace);
  for_each_sequence(ctx, s.pieces(), [&](std::int64_t worker, std::int64_t index) {
    const Piece p = s.piece(index);
    for (std::int64_t j = 0; j < p.length; ++j) {
      std::fill_n(x.dk + s.element(p, j), s.width(), 0.0f);
      std::fill_n(x.dv + s.element(p, j), s.width(), 0.0f);
    }
    float* dtable = part.data<float>() + index * part.dim(1);
    std::fill_n(dtable, part.dim(1), 0.0f);
    for (std::int64_t begin = 0; begin < p.length; begin += kQueries)
      backward_rows(s, x, p, begin, std::min(kQueries, p.length - begin),
                    scratch.data<float>() + worker * floats, dtable);
  });
  add_parts(dposition_HR, part, 0);
  add_parts(dtime_HT, part, s.bias().distances());
}

}  // namespace seqrank::cpu
