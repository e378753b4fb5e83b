// Gradients of the bias tables of attention, of one block: the gradients of the scores of one tile
// after the other are added up by distance (every thread has a diagonal of the tile) and by time
// (every thread has its own sums). No two threads add to one place and every sum has one order.
#pragma once

#include "backend/cuda/attention_extras.h"

namespace seqrank::cuda::attention {

// Tiles of kRows queries by kColumns keys.
template <int kRows, int kColumns, int kThreads>
class TableSums {
 public:
  static constexpr int kDiagonals = kRows + kColumns - 1;
  static_assert(kDiagonals <= kThreads);

  // Of shared memory.
  static std::size_t bytes(const AttentionNumbers& x) {
    const int distances = x.distances > 0 ? x.distances + 2 * kDiagonals : 0;
    return static_cast<std::size_t>(distances + x.times * kThreads) * sizeof(float);
  }

  // The block's row of tables [heads, sequences * tiles, distances + times]; null: not wanted.
  __device__ TableSums(float* tables, const AttentionNumbers& x, const Bias& bias, float* memory)
      : bias_(bias),
        causal_(x.causal),
        sums_(tables == nullptr ? nullptr : tables + block() * (x.distances + x.times)),
        // Distances that the table has; before and behind them one sum a diagonal for all that are
        // beyond: two diagonals of a tile never meet.
        distance_(memory),
        time_(memory + (x.distances > 0 ? x.distances + 2 * kDiagonals : 0)) {}

  __device__ bool wanted() const { return sums_ != nullptr; }
  // Before the first add(), and a barrier between.
  __device__ void clear() {
    if (!wanted()) return;
    const int floats = static_cast<int>(time_ - distance_) + bias_.times() * kThreads;
    for (int i = threadIdx.x; i < floats; i += kThreads) distance_[i] = 0;
  }
  // Instead of write(), of a block without queries.
  __device__ void write_zeros() const {
    if (!wanted()) return;
    for (int i = threadIdx.x; i < bias_.distances() + bias_.times(); i += kThreads) sums_[i] = 0;
  }

  // ds(row, column) = tile[row * row_stride + column * column_stride], zero for unseen pairs; after
  // a barrier. Another one must come before the tile changes.
  __device__ void add(const float* tile, int row_stride, int column_stride, int query, int key,
                      int length) {
    if (bias_.distances() > 0) add_diagonal(tile, row_stride, column_stride, query - key);
    if (bias_.times() == 0) return;
    for (int i = threadIdx.x; i < kRows * kColumns; i += kThreads) {
      const int row = i / kColumns, column = i % kColumns;
      if (query + row >= length || key + column >= length) continue;
      time_[bias_.time_bucket(query + row, key + column) * kThreads + threadIdx.x] +=
          tile[row * row_stride + column * column_stride];
    }
  }

  // After a barrier.
  __device__ void write() const {
    const int distances = bias_.distances();
    for (int r = threadIdx.x; r < distances; r += kThreads) {
      float sum = distance_[kDiagonals + r];
      if (r == 0)
        for (int d = 0; d < kDiagonals; ++d) sum += distance_[d];
      if (r == distances - 1)
        for (int d = 0; d < kDiagonals; ++d) sum += distance_[kDiagonals + distances + d];
      sums_[r] = sum;
    }
    const int t = threadIdx.x;
    if (t >= bias_.times()) return;
    float sum = 0;
    // Each in an order of its own, so that the threads read different banks.
    for (int i = 0; i < kThreads; ++i) sum += time_[t * kThreads + (i + t) % kThreads];
    sums_[distances + t] = sum;
  }

 private:
  // Of the grid, heads first; the tiles lie the other way round there, which is all the same here.
  __device__ static std::int64_t block() {
    return (static_cast<std::int64_t>(blockIdx.y) * gridDim.x + blockIdx.x) * gridDim.z +
           blockIdx.z;
  }
  __device__ void add_diagonal(const float* tile, int row_stride, int column_stride, int apart) {
    const int d = threadIdx.x;
    if (d >= kDiagonals) return;
    const int shift = d - (kColumns - 1);  // row - column
    float sum = 0;
    for (int row = max(0, shift); row < min(kRows, kColumns + shift); ++row)
      sum += tile[row * row_stride + (row - shift) * column_stride];
    const int distance = apart + shift;
    if (causal_ && distance < 0) return;
    const int bucket = distance + bias_.centre();
    const int at = bucket < 0                    ? d
                   : bucket >= bias_.distances() ? kDiagonals + bias_.distances() + d
                                                 : kDiagonals + bucket;
    distance_[at] += sum;
  }

  Bias bias_;
  bool causal_;
  float *sums_, *distance_, *time_;
};

// Of a kernel that knows no tables.
struct NoTableSums {
  __device__ NoTableSums(float*, const AttentionNumbers&, const Bias&, float*) {}
  __device__ bool wanted() const { return false; }
  __device__ void clear() {}
  __device__ void write_zeros() const {}
  __device__ void add(const float*, int, int, int, int, int) {}
  __device__ void write() const {}
};

}  // namespace seqrank::cuda::attention
