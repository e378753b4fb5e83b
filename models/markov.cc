// markov: first-order transitions of the training data with back-off: items that followed the last
// item are ranked by how often they did, all others below them by popularity.
#include <algorithm>
#include <unordered_map>

#include "models/model.h"

namespace seqrank {
namespace {

class Markov final : public CountingModel {
 public:
  static std::vector<OptionSpec> options() { return {}; }
  explicit Markov(const ModelInput& input) : count_V_(input.items, 0.0), next_V_(input.items) {}

  void observe(const Batch& batch) override {
    const auto item_N = batch.item_N.span<std::int32_t>();
    const auto target_N = batch.target_N.span<std::int32_t>();
    for (std::int64_t n = 0; n < batch.events; ++n) {
      ++next_V_[item_N[n]][target_N[n]];
      ++count_V_[target_N[n]];
      ++events_;
    }
  }

  void score_next(Context&, const Batch& batch, Tensor& score_BV) override {
    const auto item_N = batch.item_N.span<std::int32_t>();
    const auto last_B = batch.last_B.span<std::int32_t>();
    for (std::int64_t b = 0; b < batch.sequences; ++b) {
      Tensor row = score_BV.rows(b, b + 1);
      const auto score_V = row.span<float>();
      // Popularity as a share below one: it orders what has equal transitions, and what has none.
      for (std::size_t v = 0; v < score_V.size(); ++v)
        score_V[v] = static_cast<float>(count_V_[v] / (events_ + 1.0));
      for (const auto& [item, times] : next_V_[item_N[last_B[b]]])
        score_V[item] += static_cast<float>(times);
    }
  }

 private:
  std::vector<double> count_V_;
  std::vector<std::unordered_map<std::int32_t, std::int32_t>> next_V_;
  std::int64_t events_ = 0;
};

SR_REGISTER_MODEL("markov", Markov, "first-order Markov chain with back-off to popularity");

}  // namespace
}  // namespace seqrank
