// item_knn: items that people have together. Cosine of co-occurrence, damped so that rare pairs do
// not win, sim(i, j) = c_ij / ((c_i + d)^(1/2) (c_j + d)^(1/2)), over the sets of items of training
// windows; the score of an item is the sum of its similarity to the last items of the history, each
// item of which names its nearest neighbours only. The baseline of Hidasi et al. (ICLR 2016) with
// model.last = 1. Others rank below, by popularity. Exact; memory grows with events and neighbours.
#include <algorithm>
#include <cmath>
#include <span>
#include <unordered_map>

#include "backend/transfer.h"
#include "models/dense_rank.h"
#include "models/model.h"

namespace seqrank {
namespace {

class ItemKnn final : public CountingModel {
 public:
  static std::vector<OptionSpec> options() {
    return {
        {"model.neighbours", OptionKind::integer, "100", "kept of each item", "1..1000000"},
        {"model.last", OptionKind::integer, "1",
         "newest events of a history that are asked; 0: all", "0..1000000"},
        {"model.damping", OptionKind::real, "20", "added to the counts below the fraction",
         "0..1000000000"},
    };
  }

  explicit ItemKnn(const ModelInput& input)
      : neighbours_(input.options.integer("model.neighbours")),
        last_(input.options.integer("model.last")),
        damping_(input.options.real("model.damping")),
        count_V_(input.items, 0),
        windows_of_V_(input.items) {}

  // A sequence of one event says nothing of items together.
  void observe(const CountedEvents& events) override {
    if (events.item_E.size() < 2) return;
    std::vector<std::int32_t> set(events.item_E.begin(), events.item_E.end());
    std::sort(set.begin(), set.end());
    set.erase(std::unique(set.begin(), set.end()), set.end());
    for (const std::int32_t item : set) {
      ++count_V_[item];
      windows_of_V_[item].push_back(static_cast<std::int32_t>(windows_.size()));
    }
    windows_.push_back(std::move(set));
    near_V_.clear();
  }

  void score_next(Context& ctx, const Batch& batch, Tensor& score_BV) override {
    if (near_V_.empty()) find_neighbours();
    const Tensor host_item_N = to_host(ctx, batch.item_N),
                 host_offset_B1 = to_host(ctx, batch.offset_B1);
    const auto item_N = host_item_N.span<std::int32_t>();
    const auto offset_B1 = host_offset_B1.span<std::int32_t>();
    Tensor host_BV(ctx.host_arena(), DType::f32, score_BV.shape(), Tag::workspace);
    float* row = host_BV.data<float>();
    for (std::int64_t b = 0; b < batch.sequences; ++b, row += popular_V_.size()) {
      const std::int64_t events = offset_B1[b + 1] - offset_B1[b];
      const std::int64_t asked = last_ == 0 ? events : std::min(last_, events);
      score(item_N.subspan(offset_B1[b + 1] - asked, asked), {row, popular_V_.size()});
    }
    copy_to_device(ctx, score_BV, host_BV);
  }

 private:
  struct Near {
    std::int32_t item;
    float similarity;
  };

  void find_neighbours() {
    const auto items = static_cast<std::int32_t>(count_V_.size());
    popular_V_ = dense_rank(count_V_);
    const float most = std::max(1.0f, *std::max_element(popular_V_.begin(), popular_V_.end()));
    for (float& popular : popular_V_) popular = popular / most - 1;  // in [-1, 0]: below all others
    near_V_.resize(items);
    std::vector<std::int32_t> together_V(items, 0), met;
    std::vector<Near> all;
    for (std::int32_t i = 0; i < items; ++i) {
      for (const std::int32_t window : windows_of_V_[i])
        for (const std::int32_t j : windows_[window])
          if (j != i && together_V[j]++ == 0) met.push_back(j);
      all.clear();
      for (const std::int32_t j : met) {
        all.push_back({j, static_cast<float>(together_V[j] / std::sqrt((count_V_[i] + damping_) *
                                                                       (count_V_[j] + damping_)))});
        together_V[j] = 0;
      }
      met.clear();
      const auto kept = std::min<std::size_t>(all.size(), neighbours_);
      std::partial_sort(
          all.begin(), all.begin() + kept, all.end(), [](const Near& a, const Near& b) {
            return a.similarity != b.similarity ? a.similarity > b.similarity : a.item < b.item;
          });
      near_V_[i].assign(all.begin(), all.begin() + kept);
    }
  }

  void score(std::span<const std::int32_t> asked, std::span<float> score_V) const {
    std::copy(popular_V_.begin(), popular_V_.end(), score_V.begin());
    std::unordered_map<std::int32_t, float> sum;
    for (const std::int32_t item : asked)
      for (const Near& near : near_V_[item]) sum[near.item] += near.similarity;
    for (const auto& [item, similarity] : sum) score_V[item] = similarity;
  }

  std::int64_t neighbours_;
  std::int64_t last_;
  double damping_;
  std::vector<std::int64_t> count_V_;  // windows that have the item
  std::vector<std::vector<std::int32_t>> windows_;
  std::vector<std::vector<std::int32_t>> windows_of_V_;
  std::vector<std::vector<Near>> near_V_;  // empty: the counts have changed since
  std::vector<float> popular_V_;
};

SR_REGISTER_MODEL("item_knn", ItemKnn,
                  "item-KNN of Hidasi et al., Session-based Recommendations with RNNs, ICLR 2016");

}  // namespace
}  // namespace seqrank
