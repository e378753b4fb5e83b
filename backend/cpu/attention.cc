// Multi-head attention: one head of one sequence is one piece of work, done 64 queries at a time so
// that their scores stay in the cache; the products are the vendor's. fp32 alone, at any precision
// of the context.
#include "backend/cpu/attention.h"

#include <algorithm>
#include <cmath>

#include "backend/cpu/additive_attention.h"
#include "backend/cpu/attention_bias.h"
#include "backend/cpu/dropout_factors.h"
#include "backend/cpu/gemm.h"
#include "backend/cpu/vector_math.h"

namespace seqrank::cpu {
namespace {

constexpr std::int64_t kQueries = 64;

// One head of one sequence.
struct Piece {
  std::int64_t first, length, head;
  std::uint64_t place;
};

// What forward and backward share: which keys a query sees, the scores, the dropout.
class Scores {
 public:
  Scores(const AttentionOptions& options, const Tensor& q_NHK, const Tensor& k_NHK,
         const AttentionBias& bias, const Tensor& place_B, const Tensor& offset_B1)
      : options_(options),
        heads_(q_NHK.dim(1)),
        width_(q_NHK.dim(2)),
        sequences_(offset_B1.numel() - 1),
        q_(q_NHK.data<float>()),
        k_(k_NHK.data<float>()),
        place_(place_B ? place_B.data<std::int64_t>() : nullptr),
        offset_(offset_B1.data<std::int32_t>()),
        bias_(bias, options.mask),
        factors_(options.dropout, Purpose::attention_dropout) {}

  std::int64_t pieces() const { return sequences_ * heads_; }
  Piece piece(std::int64_t index) const {
    const std::int64_t b = index / heads_;
    return {offset_[b], offset_[b + 1] - offset_[b], index % heads_,
            place_ == nullptr ? 0 : static_cast<std::uint64_t>(place_[b])};
  }
  // Of event i of the piece.
  std::int64_t row(const Piece& p, std::int64_t i) const {  // in [N, H]
    return (p.first + i) * heads_ + p.head;
  }
  std::int64_t element(const Piece& p, std::int64_t i) const { return row(p, i) * width_; }
  std::int64_t stride() const { return heads_ * width_; }
  std::int64_t width() const { return width_; }
  float scale() const { return options_.scale; }
  bool drops() const { return options_.dropout.rate > 0; }
  // How many keys the query i sees, from the first of the sequence on.
  std::int64_t seen(const Piece& p, std::int64_t i) const {
    return options_.mask == AttentionMask::causal ? i + 1 : p.length;
  }

  // score [rows, keys] of the queries from `begin` on. Not masked.
  void write(float* score, const Piece& p, std::int64_t begin, std::int64_t rows,
             std::int64_t keys) const {
    gemm(rows, keys, width_, options_.scale, {q_ + element(p, begin), stride()},
         {k_ + element(p, 0), stride(), Transpose::yes}, 0, score, keys);
    for (std::int64_t i = 0; i < rows; ++i)
      bias_.add(score + i * keys, p.first, p.head, begin + i, seen(p, begin + i));
  }

  // x [keys seen] *= the factors of dropout of query i.
  void drop(float* x, const Piece& p, std::int64_t i) const {
    Philox4 base = {static_cast<std::uint32_t>(p.place), static_cast<std::uint32_t>(p.place >> 32),
                    static_cast<std::uint32_t>(i),
                    options_.dropout.layer << 24 | static_cast<std::uint32_t>(p.head) << 16};
    const std::int64_t keys = seen(p, i);
    for (std::int64_t begin = 0; begin < keys; begin += DropoutFactors::kCount) {
      float factor[DropoutFactors::kCount];
      factors_.write(factor, base);
      base[3] += DropoutFactors::kCounters;
      const std::int64_t count = std::min<std::int64_t>(DropoutFactors::kCount, keys - begin);
#pragma omp simd
      for (std::int64_t j = 0; j < count; ++j) x[begin + j] *= factor[j];
    }
  }

  // dtable [distances, then times] += the gradients of the scores of query i.
  void add_table_gradients(float* dtable, const float* dscore, const Piece& p,
                           std::int64_t i) const {
    bias_.add_gradients(dtable, dscore, p.first, i, seen(p, i));
  }

 private:
  AttentionOptions options_;
  std::int64_t heads_, width_, sequences_;
  const float *q_, *k_;
  const std::int64_t* place_;
  const std::int32_t* offset_;
  AttentionBiasTables bias_;
  DropoutFactors factors_;
};

// Scores to probabilities; those behind the `seen` first of `keys` become zero. Returns the log of
// the sum of exp.
float softmax(float* score, std::int64_t seen, std::int64_t keys) {
  float max = score[0], sum = 0;
#pragma omp simd reduction(max : max)
  for (std::int64_t j = 0; j < seen; ++j) max = std::max(max, score[j]);
#pragma omp simd reduction(+ : sum)
  for (std::int64_t j = 0; j < seen; ++j) {
    score[j] = fast_exp(score[j] - max);
    sum += score[j];
  }
  const float factor = 1.0f / sum;
#pragma omp simd
  for (std::int64_t j = 0; j < seen; ++j) score[j] *= factor;
  std::fill(score + seen, score + keys, 0.0f);
  return max + std::log(sum);
}

// The operands of backward, whole.
struct Backward {
  const float *dout, *out, *lse, *q, *k, *v;
  float *dq, *dk, *dv;
};

// One query: its scores become dropped probabilities, dp = do v^T becomes the gradients of the
// scores; both zero behind what it sees. factor: memory for as many keys.
void backward_row(const Scores& s, const Backward& x, const Piece& p, std::int64_t i,
                  std::int64_t keys, float* score, float* dp, float* factor) {
  const std::int64_t seen = s.seen(p, i);
  const float *dout = x.dout + s.element(p, i), *out = x.out + s.element(p, i);
  float mean = 0;
#pragma omp simd reduction(+ : mean)
  for (std::int64_t d = 0; d < s.width(); ++d) mean += dout[d] * out[d];
  std::fill_n(factor, seen, 1.0f);
  if (s.drops()) s.drop(factor, p, i);
  const float lse = x.lse[s.row(p, i)];
#pragma omp simd
  for (std::int64_t j = 0; j < seen; ++j) {
    const float probability = fast_exp(score[j] - lse);
    dp[j] = probability * (factor[j] * dp[j] - mean);
    score[j] = probability * factor[j];
  }
  std::fill(score + seen, score + keys, 0.0f);
  std::fill(dp + seen, dp + keys, 0.0f);
}

// The queries [begin, begin + rows). scratch: twice [rows, keys], once [keys].
void backward_rows(const Scores& s, const Backward& x, const Piece& p, std::int64_t begin,
                   std::int64_t rows, float* scratch, float* dtable) {
  const std::int64_t keys = s.seen(p, begin + rows - 1), stride = s.stride(), width = s.width();
  float *score = scratch, *dscore = score + rows * keys, *factor = dscore + rows * keys;
  const std::int64_t query = s.element(p, begin), key = s.element(p, 0);
  s.write(score, p, begin, rows, keys);
  gemm(rows, keys, width, 1, {x.dout + query, stride}, {x.v + key, stride, Transpose::yes}, 0,
       dscore, keys);
  for (std::int64_t i = 0; i < rows; ++i) {
    backward_row(s, x, p, begin + i, keys, score + i * keys, dscore + i * keys, factor);
    if (dtable != nullptr) s.add_table_gradients(dtable, dscore + i * keys, p, begin + i);
  }
  gemm(keys, width, rows, 1, {score, keys, Transpose::yes}, {x.dout + query, stride}, 1, x.dv + key,
       stride);
  gemm(rows, width, keys, s.scale(), {dscore, keys}, {x.k + key, stride}, 0, x.dq + query, stride);
  gemm(keys, width, rows, s.scale(), {dscore, keys, Transpose::yes}, {x.q + query, stride}, 1,
       x.dk + key, stride);
}

void expect_f32(const Tensor& q_NHK) {
  SR_ASSERT(q_NHK.dtype() == DType::f32, "multi_head_attention: {} on the CPU, which knows f32",
            dtype_name(q_NHK.dtype()));
}

}  // namespace

void multi_head_attention(Context& ctx, const AttentionOptions& options, Tensor& o_NHK,
                          Tensor& lse_NH, const Tensor& q_NHK, const Tensor& k_NHK,
                          const Tensor& v_NHK, const AttentionBias& bias, const Tensor& place_B,
                          const Tensor& offset_B1) {
  expect_f32(q_NHK);
  const Scores s(options, q_NHK, k_NHK, bias, place_B, offset_B1);
  const float* v = v_NHK.data<float>();
  float *o = o_NHK.data<float>(), *lse = lse_NH.data<float>();
  const std::int64_t floats = kQueries * options.max_length;
  Tensor scratch = ctx.empty(DType::f32, {ctx.threads(), floats}, Tag::workspace);
  for_each_sequence(ctx, s.pieces(), [&](std::int64_t worker, std::int64_t index) {
    const Piece p = s.piece(index);
    float* score = scratch.data<float>() + worker * floats;
    for (std::int64_t begin = 0; begin < p.length; begin += kQueries) {
      const std::int64_t rows = std::min(kQueries, p.length - begin);
      const std::int64_t keys = s.seen(p, begin + rows - 1);
      s.write(score, p, begin, rows, keys);
      for (std::int64_t i = 0; i < rows; ++i) {
        float* row = score + i * keys;
        lse[s.row(p, begin + i)] = softmax(row, s.seen(p, begin + i), keys);
        if (s.drops()) s.drop(row, p, begin + i);
      }
      gemm(rows, s.width(), keys, 1, {score, keys}, {v + s.element(p, 0), s.stride()}, 0,
           o + s.element(p, begin), s.stride());
    }
  });
}

void multi_head_attention_backward(Context& ctx, const AttentionOptions& options, Tensor& dq_NHK,
                                   Tensor& dk_NHK, Tensor& dv_NHK, Tensor& dposition_HR,
                                   Tensor& dtime_HT, const Tensor& do_NHK, const Tensor& o_NHK,
                                   const Tensor& lse_NH, const Tensor& q_NHK, const Tensor& k_NHK,
                                   const Tensor& v_NHK, const AttentionBias& bias,
                                   const Tensor& place_B, const Tensor& offset_B1) {
  expect_f32(q_NHK);
  const Scores s(options, q_NHK, k_NHK, bias, place_B, offset_B1);
  const Backward x{.dout = do_NHK.data<float>(),
                   .out = o_NHK.data<float>(),
                   .lse = lse_NH.data<float>(),
                   .q = q_NHK.data<float>(),
                   .k = k_NHK.data<float>(),
                   .v = v_NHK.data<float>(),
                   .dq = dq_NHK.data<float>(),
                   .dk = dk_NHK.data<float>(),
                   .dv = dv_NHK.data<float>()};
  const std::int64_t floats = (2 * kQueries + 1) * options.max_length;
  Tensor scratch = ctx.empty(DType::f32, {ctx.threads(), floats}, Tag::workspace);
  // The tables' gradients of each piece, added in their order below: the same bits at any number of
  // threads.
  const std::int64_t distances = bias.position_HR ? bias.position_HR.dim(1) : 0;
  const std::int64_t times = bias.time_HT ? bias.time_HT.dim(1) : 0;
  const bool tables = dposition_HR || dtime_HT;
  Tensor part = ctx.empty(DType::f32, {tables ? s.pieces() : 0, distances + times}, Tag::workspace);
  for_each_sequence(ctx, s.pieces(), [&](std::int64_t worker, std::int64_t index) {
    const Piece p = s.piece(index);
    for (std::int64_t j = 0; j < p.length; ++j) {
      std::fill_n(x.dk + s.element(p, j), s.width(), 0.0f);
      std::fill_n(x.dv + s.element(p, j), s.width(), 0.0f);
    }
    float* dtable = tables ? part.data<float>() + index * part.dim(1) : nullptr;
    if (tables) std::fill_n(dtable, part.dim(1), 0.0f);
    for (std::int64_t begin = 0; begin < p.length; begin += kQueries)
      backward_rows(s, x, p, begin, std::min(kQueries, p.length - begin),
                    scratch.data<float>() + worker * floats, dtable);
  });
  add_parts(dposition_HR, part, 0);
  add_parts(dtime_HT, part, distances);
}

}  // namespace seqrank::cpu
