// popularity: items ranked by how often they are what comes next in the training data; the same for
// everyone.
#include <algorithm>

#include "backend/transfer.h"
#include "models/dense_rank.h"
#include "models/model.h"

namespace seqrank {
namespace {

class Popularity final : public CountingModel {
 public:
  static std::vector<OptionSpec> options() { return {}; }
  explicit Popularity(const ModelInput& input) : count_V_(input.items, 0) {}

  void observe(const CountedEvents& events) override {
    for (const std::int32_t item : events.item_E.subspan(1)) ++count_V_[item];
    score_V_.clear();
  }

  void score_next(Context& ctx, const Batch& batch, Tensor& score_BV) override {
    if (score_V_.empty()) score_V_ = dense_rank(count_V_);
    Tensor host_BV(ctx.host_arena(), DType::f32, score_BV.shape(), Tag::workspace);
    float* row = host_BV.data<float>();
    for (std::int64_t b = 0; b < batch.sequences; ++b, row += score_V_.size())
      std::copy(score_V_.begin(), score_V_.end(), row);
    copy_to_device(ctx, score_BV, host_BV);
  }

 private:
  std::vector<std::int64_t> count_V_;
  std::vector<float> score_V_;  // from the counts; empty: they have changed since
};

SR_REGISTER_MODEL("popularity", Popularity, "counts");

}  // namespace
}  // namespace seqrank
