// Pointwise attention on a CUDA device, plainly: a warp takes an event of a head; its lanes take 32
// keys (or, for the gradients of keys, 32 queries) at a time for the scores, and then share out
// columns. Backward computes the scores again: by queries, by keys, and for the table of distances
// by its entries, so that every sum has one order.
#include "backend/cuda/elements.h"
#include "backend/cuda/kernels.h"
#include "backend/cuda/product.h"
#include "backend/cuda/runtime.h"

namespace seqrank::cuda {
namespace {

// Numbers that every kernel takes.
struct Sizes {
  std::int64_t events, sequences, heads, width, distances, times;
  float share;  // 1 / N
};

__device__ std::int64_t sequence_of(std::int64_t n, const std::int32_t* offset_B1,
                                    std::int64_t sequences) {
  std::int64_t low = 0, high = sequences;  // offset[low] <= n < offset[high]
  while (high - low > 1) {
    const std::int64_t middle = (low + high) / 2;
    (offset_B1[middle] <= n ? low : high) = middle;
  }
  return low;
}

// One head.
class Scores {
 public:
  __device__ Scores(const float* q, const float* k, const float* position_HR, const float* time_HT,
                    const std::int64_t* time_N, const Sizes& s, std::int64_t head)
      : q_(q), k_(k), position_(position_HR), table_(time_HT), time_(time_N), s_(s), head_(head) {}

  __device__ std::int64_t row(std::int64_t n) const { return (n * s_.heads + head_) * s_.width; }
  __device__ std::int64_t time_bucket(std::int64_t n, std::int64_t j) const {
    const std::int64_t difference = time_[n] - time_[j];
    const auto apart = static_cast<std::uint64_t>(difference < 0 ? -difference : difference) + 1;
    const int high = static_cast<int>(apart >> 32);
    const int bucket = high != 0 ? 63 - __clz(high) : 31 - __clz(static_cast<int>(apart));
    return min(static_cast<std::int64_t>(bucket), s_.times - 1);
  }
  // Of query n and key j <= n.
  __device__ float operator()(std::int64_t n, std::int64_t j) const {
    float sum = dot(q_ + row(n), k_ + row(j));
    if (position_ != nullptr) sum += position_[head_ * s_.distances + min(n - j, s_.distances - 1)];
    if (table_ != nullptr) sum += table_[head_ * s_.times + time_bucket(n, j)];
    return sum;
  }
  // The gradient of that score; its weight too.
  __device__ float gradient(std::int64_t n, std::int64_t j, const float* dout, const float* v,
                            float* weight) const {
    const float score = (*this)(n, j), gate = 1.f / (1.f + expf(-score));
    *weight = s_.share * score * gate;
    return s_.share * dot(dout + row(n), v + row(j)) * gate * (1.f + score * (1.f - gate));
  }

 private:
  __device__ float dot(const float* x, const float* y) const {
    float sum = 0;
    for (std::int64_t d = 0; d < s_.width; ++d) sum += x[d] * y[d];
    return sum;
  }

  const float *q_, *k_, *position_, *table_;
  const std::int64_t* time_;
  const Sizes& s_;
  std::int64_t head_;
};

// sum_K += sum over i of weight_32[i] x[i], rows `stride` apart; lanes taking columns.
__device__ void add_rows(float* sum_K, const float* weight_32, const float* x, int rows,
                         std::int64_t width, std::int64_t stride) {
  for (std::int64_t d = lane_index(); d < width; d += 32) {
    float sum = sum_K[d];
    for (int i = 0; i < rows; ++i) sum += weight_32[i] * x[i * stride + d];
    sum_K[d] = sum;
  }
}

__device__ void set_zero(float* x, std::int64_t n) {
  for (std::int64_t i = lane_index(); i < n; i += 32) x[i] = 0.f;
}

// Of a warp, floats: 64 for what its lanes tell one another, and sums.
constexpr std::int64_t kTold = 64;
__device__ float* memory_of_warp(float* of_block, std::int64_t sums) {
  return of_block + threadIdx.x / 32 * (kTold + sums);
}
LaunchShape per_event_and_head(const Sizes& s, std::int64_t sums) {
  LaunchShape shape = per_warp(s.events * s.heads);
  shape.dynamic_shared = static_cast<std::size_t>(kThreads / 32 * (kTold + sums)) * sizeof(float);
  return shape;
}

__global__ void forward_kernel(float* o, const float* q, const float* k, const float* v,
                               const float* position_HR, const float* time_HT,
                               const std::int64_t* time_N, const std::int32_t* offset_B1, Sizes s) {
  DYNAMIC_SHARED(float, of_block);
  float* const told = memory_of_warp(of_block, s.width);
  float* const sum = told + kTold;
  const std::int64_t n = warp_index() / s.heads, head = warp_index() % s.heads;
  const int lane = lane_index();
  if (n >= s.events) return;
  const Scores scores(q, k, position_HR, time_HT, time_N, s, head);
  set_zero(sum, s.width);
  for (std::int64_t first = offset_B1[sequence_of(n, offset_B1, s.sequences)]; first <= n;
       first += 32) {
    const float score = first + lane <= n ? scores(n, first + lane) : 0.f;
    told[lane] = score / (1.f + expf(-score));
    __syncwarp();
    add_rows(sum, told, v + scores.row(first), static_cast<int>(min(n + 1 - first, 32l)), s.width,
             s.heads * s.width);
    __syncwarp();
  }
  for (std::int64_t d = lane; d < s.width; d += 32) o[scores.row(n) + d] = s.share * sum[d];
}

// dq, and its part of the table of times [N, H, T]; null: not wanted.
__global__ void query_gradient_kernel(float* dq, float* dtime, const float* dout, const float* q,
                                      const float* k, const float* v, const float* position_HR,
                                      const float* time_HT, const std::int64_t* time_N,
                                      const std::int32_t* offset_B1, Sizes s) {
  DYNAMIC_SHARED(float, of_block);
  float* const told = memory_of_warp(of_block, s.width);
  float* const sum = told + kTold;
  const std::int64_t n = warp_index() / s.heads, head = warp_index() % s.heads;
  const int lane = lane_index();
  if (n >= s.events) return;
  const Scores scores(q, k, position_HR, time_HT, time_N, s, head);
  set_zero(sum, s.width);
  float of_bucket = 0;  // the bucket that is this lane's
  for (std::int64_t first = offset_B1[sequence_of(n, offset_B1, s.sequences)]; first <= n;
       first += 32) {
    const std::int64_t j = first + lane;
    float weight, dscore = 0;
    int bucket = 0;
    if (j <= n) {
      dscore = scores.gradient(n, j, dout, v, &weight);
      if (dtime != nullptr) bucket = static_cast<int>(scores.time_bucket(n, j));
    }
    told[lane] = dscore;
    told[32 + lane] = static_cast<float>(bucket);
    __syncwarp();
    const int rows = static_cast<int>(min(n + 1 - first, 32l));
    if (dtime != nullptr)
      for (int i = 0; i < rows; ++i)
        if (told[32 + i] == static_cast<float>(lane)) of_bucket += told[i];
    add_rows(sum, told, k + scores.row(first), rows, s.width, s.heads * s.width);
    __syncwarp();
  }
  for (std::int64_t d = lane; d < s.width; d += 32) dq[scores.row(n) + d] = sum[d];
  if (dtime != nullptr && lane < s.times) dtime[(n * s.heads + head) * s.times + lane] = of_bucket;
}

__global__ void key_gradient_kernel(float* dk, float* dv, const float* dout, const float* q,
                                    const float* k, const float* v, const float* position_HR,
                                    const float* time_HT, const std::int64_t* time_N,
                                    const std::int32_t* offset_B1, Sizes s) {
  DYNAMIC_SHARED(float, of_block);
  float* const told = memory_of_warp(of_block, 2 * s.width);
  float *const dk_sum = told + kTold, *const dv_sum = dk_sum + s.width;
  const std::int64_t j = warp_index() / s.heads, head = warp_index() % s.heads;
  const int lane = lane_index();
  if (j >= s.events) return;
  const Scores scores(q, k, position_HR, time_HT, time_N, s, head);
  set_zero(dk_sum, 2 * s.width);
  const std::int64_t end = offset_B1[sequence_of(j, offset_B1, s.sequences) + 1];
  for (std::int64_t first = j; first < end; first += 32) {
    float weight = 0, dscore = 0;
    if (first + lane < end) dscore = scores.gradient(first + lane, j, dout, v, &weight);
    told[lane] = dscore;
    told[32 + lane] = weight;
    __syncwarp();
    const int rows = static_cast<int>(min(end - first, 32l));
    add_rows(dk_sum, told, q + scores.row(first), rows, s.width, s.heads * s.width);
    add_rows(dv_sum, told + 32, dout + scores.row(first), rows, s.width, s.heads * s.width);
    __syncwarp();
  }
  for (std::int64_t d = lane; d < s.width; d += 32) {
    dk[scores.row(j) + d] = dk_sum[d];
    dv[scores.row(j) + d] = dv_sum[d];
  }
}

// A block an entry of the table; the last is of all larger distances too.
__global__ void position_gradient_kernel(float* dposition_HR, const float* dout, const float* q,
                                         const float* k, const float* v, const float* position_HR,
                                         const float* time_HT, const std::int64_t* time_N,
                                         const std::int32_t* offset_B1, Sizes s) {
  const std::int64_t head = blockIdx.x / s.distances, distance = blockIdx.x % s.distances;
  const Scores scores(q, k, position_HR, time_HT, time_N, s, head);
  float sum = 0, weight;
  for (std::int64_t n = threadIdx.x; n < s.events; n += kThreads) {
    const std::int64_t first = offset_B1[sequence_of(n, offset_B1, s.sequences)];
    const std::int64_t last = n - distance;
    const std::int64_t from = distance == s.distances - 1 ? first : max(first, last);
    for (std::int64_t j = from; j <= last; ++j) sum += scores.gradient(n, j, dout, v, &weight);
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) dposition_HR[blockIdx.x] += sum;
}

Sizes sizes_of(const SiluAttentionOptions& options, const Tensor& q_NHK, const AttentionBias& bias,
               const Tensor& offset_B1) {
  return {q_NHK.dim(0),
          offset_B1.numel() - 1,
          q_NHK.dim(1),
          q_NHK.dim(2),
          bias.position_HR ? bias.position_HR.dim(1) : 0,
          bias.time_HT ? bias.time_HT.dim(1) : 0,
          1 / options.normaliser};
}

}  // namespace

void silu_attention(Context& ctx, const SiluAttentionOptions& options, Tensor& o_NHK,
                    const Tensor& q_NHK, const Tensor& k_NHK, const Tensor& v_NHK,
                    const AttentionBias& bias, const Tensor& offset_B1) {
  const Sizes s = sizes_of(options, q_NHK, bias, offset_B1);
  launch<forward_kernel>(per_event_and_head(s, s.width), stream_of(ctx), out<float>(o_NHK),
                         in<float>(q_NHK), in<float>(k_NHK), in<float>(v_NHK),
                         in<float>(bias.position_HR), in<float>(bias.time_HT),
                         in<std::int64_t>(bias.time_N), in<std::int32_t>(offset_B1), s);
}

void silu_attention_backward(Context& ctx, const SiluAttentionOptions& options, Tensor& dq_NHK,
                             Tensor& dk_NHK, Tensor& dv_NHK, Tensor& dposition_HR, Tensor& dtime_HT,
                             const Tensor& do_NHK, const Tensor& q_NHK, const Tensor& k_NHK,
                             const Tensor& v_NHK, const AttentionBias& bias,
                             const Tensor& offset_B1) {
  const Sizes s = sizes_of(options, q_NHK, bias, offset_B1);
  Tensor part;
  if (s.times > 0) part = ctx.empty(DType::f32, {s.events, s.heads * s.times}, Tag::workspace);
  launch<query_gradient_kernel>(per_event_and_head(s, s.width), stream_of(ctx), out<float>(dq_NHK),
                                out<float>(part), in<float>(do_NHK), in<float>(q_NHK),
                                in<float>(k_NHK), in<float>(v_NHK), in<float>(bias.position_HR),
                                in<float>(bias.time_HT), in<std::int64_t>(bias.time_N),
                                in<std::int32_t>(offset_B1), s);
  launch<key_gradient_kernel>(per_event_and_head(s, 2 * s.width), stream_of(ctx),
                              out<float>(dk_NHK), out<float>(dv_NHK), in<float>(do_NHK),
                              in<float>(q_NHK), in<float>(k_NHK), in<float>(v_NHK),
                              in<float>(bias.position_HR), in<float>(bias.time_HT),
                              in<std::int64_t>(bias.time_N), in<std::int32_t>(offset_B1), s);
  if (s.distances > 0)
    launch<position_gradient_kernel>({static_cast<unsigned>(s.heads * s.distances), kThreads},
                                     stream_of(ctx), update<float>(dposition_HR), in<float>(do_NHK),
                                     in<float>(q_NHK), in<float>(k_NHK), in<float>(v_NHK),
                                     in<float>(bias.position_HR), in<float>(bias.time_HT),
                                     in<std::int64_t>(bias.time_N), in<std::int32_t>(offset_B1), s);
  if (s.times > 0) {
    Tensor dtime = dtime_HT.reshape({s.heads * s.times});
    add_column_sum(ctx, dtime, Matrix(part));
  }
}

}  // namespace seqrank::cuda
