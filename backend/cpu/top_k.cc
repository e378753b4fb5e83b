// Ranking on the CPU, a row of scores at a time; threads take rows. NaN is never among the best.
// Does not sort whole rows.
#include "backend/ops/top_k.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "backend/cpu/parallel.h"

namespace seqrank::cpu {
namespace {

constexpr float kMasked = -std::numeric_limits<float>::infinity();
constexpr std::int64_t kChunk = 64;  // scores that are looked at together
constexpr std::int64_t kGrain = 4;   // rows worth a thread

// The best of a row met so far, by rising id: an item that equals the worst of K better ones has
// lost to them, so only what exceeds it is looked at again.
class Best {
 public:
  explicit Best(std::int64_t k) : k_(k), room_(2 * k + kChunk) { kept_.reserve(room_); }

  void clear() {
    kept_.clear();
    threshold_ = kMasked;
  }
  // Whole chunks that hold nothing better are the common case.
  void offer(const float* score, std::int64_t first, std::int64_t n) {
    int any = 0;
    for (std::int64_t i = 0; i < n; ++i) any |= score[first + i] > threshold_;
    if (any == 0) return;
    for (std::int64_t i = first; i < first + n; ++i)
      if (score[i] > threshold_) kept_.push_back({score[i], static_cast<std::int32_t>(i)});
    if (static_cast<std::int64_t>(kept_.size()) + kChunk > room_) cut();
  }
  // Best first, at most k.
  const std::vector<ScoredItem>& sorted() {
    if (static_cast<std::int64_t>(kept_.size()) > k_) cut();
    std::sort(kept_.begin(), kept_.end(), better);
    return kept_;
  }

 private:
  void cut() {
    std::nth_element(kept_.begin(), kept_.begin() + (k_ - 1), kept_.end(), better);
    kept_.resize(k_);
    threshold_ = kept_.back().score;
  }

  std::int64_t k_, room_;
  std::vector<ScoredItem> kept_;
  float threshold_ = kMasked;
};

void check_items(const char* what, const Tensor& items, std::int64_t catalogue) {
  for (std::int32_t item : items.span<std::int32_t>())
    SR_CHECK(item >= 0 && item < catalogue, ErrorKind::data, "{}: item {} of a catalogue of {}",
             what, item, catalogue);
}

}  // namespace

void top_k(Context& ctx, Tensor& value_BK, Tensor& id_BK, const Tensor& score_BV) {
  const std::int64_t k = value_BK.dim(1), items = score_BV.dim(1);
  if (k == 0) return;
  parallel_for(ctx, score_BV.dim(0), kGrain, [&](std::int64_t begin, std::int64_t end) {
    Best best(k);
    for (std::int64_t b = begin; b < end; ++b) {
      best.clear();
      for (std::int64_t first = 0; first < items; first += kChunk)
        best.offer(score_BV.data<float>() + b * items, first, std::min(kChunk, items - first));
      const std::vector<ScoredItem>& found = best.sorted();
      float* const value = value_BK.data<float>() + b * k;
      std::int32_t* const id = id_BK.data<std::int32_t>() + b * k;
      for (std::int64_t i = 0; i < k; ++i) {
        const bool there = i < static_cast<std::int64_t>(found.size());
        value[i] = there ? found[i].score : kMasked;
        id[i] = there ? found[i].item : -1;
      }
    }
  });
}

void rank_of(Context& ctx, Tensor& rank_B, Tensor& tied_B, const Tensor& score_BV,
             const Tensor& target_B) {
  const std::int64_t items = score_BV.dim(1);
  check_items("rank_of", target_B, items);
  parallel_for(ctx, score_BV.dim(0), kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t b = begin; b < end; ++b) {
      const float* const score = score_BV.data<float>() + b * items;
      const float target = score[target_B.data<std::int32_t>()[b]];
      // What is not below the target is above or the same, NaN among it; the target itself is 1.
      std::int32_t below = 0, same = 0;
      for (std::int64_t v = 0; v < items; ++v) {
        below += score[v] < target;
        same += score[v] == target;
      }
      rank_B.data<std::int32_t>()[b] = static_cast<std::int32_t>(items) - below;
      tied_B.data<std::int32_t>()[b] =
          std::max(same - 1, 0);  // a NaN target equals not even itself
    }
  });
}

void mask_items(Context& ctx, Tensor& score_BV, const Tensor& item_M, const Tensor& offset_B1,
                const Tensor& keep_B) {
  const std::int64_t items = score_BV.dim(1);
  check_items("mask_items", item_M, items);
  const std::int32_t* const item = item_M.data<std::int32_t>();
  const std::int32_t* const offset = offset_B1.data<std::int32_t>();
  parallel_for(ctx, score_BV.dim(0), kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t b = begin; b < end; ++b) {
      const std::int32_t keep = keep_B ? keep_B.data<std::int32_t>()[b] : -1;
      float* const score = score_BV.data<float>() + b * items;
      for (std::int32_t m = offset[b]; m < offset[b + 1]; ++m)
        if (item[m] != keep) score[item[m]] = kMasked;
    }
  });
}

}  // namespace seqrank::cpu
