// markov: first-order transitions of the training data with back-off: items that followed the last
// item are ranked by how often they did, all others below them by popularity.
#include <algorithm>
#include <span>
#include <tuple>
#include <unordered_map>

#include "backend/transfer.h"
#include "models/dense_rank.h"
#include "models/model.h"

namespace seqrank {
namespace {

class Markov final : public CountingModel {
 public:
  static std::vector<OptionSpec> options() { return {}; }
  explicit Markov(const ModelInput& input) : count_V_(input.items, 0), next_V_(input.items) {}

  void observe(const CountedEvents& events) override {
    for (std::size_t e = 1; e < events.item_E.size(); ++e) {
      ++next_V_[events.item_E[e - 1]][events.item_E[e]];
      ++count_V_[events.item_E[e]];
    }
    popular_V_.clear();
  }

  void score_next(Context& ctx, const Batch& batch, Tensor& score_BV) override {
    if (popular_V_.empty()) {
      popular_V_ = dense_rank(count_V_);
      most_popular_ = *std::max_element(popular_V_.begin(), popular_V_.end());
    }
    const Tensor host_item_N = to_host(ctx, batch.item_N), host_last_B = to_host(ctx, batch.last_B);
    const auto item_N = host_item_N.span<std::int32_t>();
    const auto last_B = host_last_B.span<std::int32_t>();
    Tensor host_BV(ctx.host_arena(), DType::f32, score_BV.shape(), Tag::workspace);
    float* row = host_BV.data<float>();
    for (std::int64_t b = 0; b < batch.sequences; ++b, row += popular_V_.size()) {
      std::copy(popular_V_.begin(), popular_V_.end(), row);
      raise_successors(next_V_[item_N[last_B[b]]], {row, popular_V_.size()});
    }
    copy_to_device(ctx, score_BV, host_BV);
  }

 private:
  using Successors = std::unordered_map<std::int32_t, std::int64_t>;

  // Above all others, by (times, popularity), equal only where both are. Whole numbers, so that
  // float keeps the order: no sum of a count and a share does.
  void raise_successors(const Successors& successors, std::span<float> score_V) {
    order_.clear();
    for (const auto& [item, times] : successors) order_.push_back({times, popular_V_[item], item});
    std::sort(order_.begin(), order_.end());
    float score = most_popular_;
    for (std::size_t i = 0; i < order_.size(); ++i) {
      const auto& [times, popular, item] = order_[i];
      const bool tied =
          i > 0 && std::get<0>(order_[i - 1]) == times && std::get<1>(order_[i - 1]) == popular;
      if (!tied) ++score;
      score_V[item] = score;
    }
  }

  std::vector<std::int64_t> count_V_;
  std::vector<Successors> next_V_;
  std::vector<float> popular_V_;  // dense ranks of the counts; empty: they have changed since
  float most_popular_ = 0;
  std::vector<std::tuple<std::int64_t, float, std::int32_t>> order_;  // of raise_successors()
};

SR_REGISTER_MODEL("markov", Markov, "first-order Markov chain with back-off to popularity");

}  // namespace
}  // namespace seqrank
