// popularity_by_time: the classical time-series model of how popular items are today. Daily counts
// y_t of every item follow y_t = a + sum_{i=1..p} b_i y_{t-i}, with a and b common to all items,
// found by least squares over the training days; a history is answered with the forecast for the
// day of its last event, or for the first day after the training data where that is earlier. Equal
// forecasts are ranked by popularity. The same for everyone on a day.
#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <span>

#include "backend/check.h"
#include "backend/transfer.h"
#include "models/model.h"

namespace seqrank {
namespace {

constexpr std::int64_t kDay = 24 * 3600;
constexpr std::size_t kKeptDays = 64;  // forecasts kept, V floats each

std::int64_t day_of(std::int64_t time) {
  return (time - ((time % kDay) + kDay) % kDay) / kDay;
}

// The least squares solution of a symmetric system: Gauss with a ridge that only decides what the
// data leaves open. a_QQ is used up.
std::vector<double> solve(std::vector<std::vector<double>> a_QQ, std::vector<double> b_Q) {
  const std::size_t q = b_Q.size();
  for (std::size_t i = 0; i < q; ++i) a_QQ[i][i] += 1e-9 * (1 + a_QQ[i][i]);
  for (std::size_t i = 0; i < q; ++i) {  // positive definite: no pivoting needed
    for (std::size_t r = i + 1; r < q; ++r) {
      const double factor = a_QQ[r][i] / a_QQ[i][i];
      for (std::size_t c = i; c < q; ++c) a_QQ[r][c] -= factor * a_QQ[i][c];
      b_Q[r] -= factor * b_Q[i];
    }
  }
  for (std::size_t i = q; i-- > 0;) {
    for (std::size_t c = i + 1; c < q; ++c) b_Q[i] -= a_QQ[i][c] * b_Q[c];
    b_Q[i] /= a_QQ[i][i];
  }
  return b_Q;
}

class PopularityByTime final : public CountingModel {
 public:
  static std::vector<OptionSpec> options() {
    return {
        {"model.days", OptionKind::integer, "7", "p: days that a forecast looks back", "1..365"}};
  }
  explicit PopularityByTime(const ModelInput& input)
      : days_(input.options.integer("model.days")),
        count_VT_(input.items),
        total_V_(input.items, 0) {}

  BatchNeeds needs() const override {
    BatchNeeds needs;
    needs.times = true;
    return needs;
  }

  // Every training event once.
  void observe(const CountedEvents& events) override {
    for (std::size_t e = events.known; e < events.item_E.size(); ++e) {
      ++count_VT_[events.item_E[e]][day_of(events.time_E[e])];
      ++total_V_[events.item_E[e]];
    }
    weights_.clear();
    forecast_.clear();
  }

  void score_next(Context& ctx, const Batch& batch, Tensor& score_BV) override {
    if (weights_.empty()) fit();
    const Tensor host_time_N = to_host(ctx, batch.time_N), host_last_B = to_host(ctx, batch.last_B);
    const auto time_N = host_time_N.span<std::int64_t>();
    const auto last_B = host_last_B.span<std::int32_t>();
    Tensor host_BV(ctx.host_arena(), DType::f32, score_BV.shape(), Tag::workspace);
    float* row = host_BV.data<float>();
    for (std::int64_t b = 0; b < batch.sequences; ++b, row += total_V_.size()) {
      const std::vector<float>& scores = forecast(day_of(time_N[last_B[b]]));
      std::copy(scores.begin(), scores.end(), row);
    }
    copy_to_device(ctx, score_BV, host_BV);
  }

 private:
  using Days = std::map<std::int64_t, std::int64_t>;  // events by day, where there are any

  static double at(const Days& days, std::int64_t day) {
    const auto found = days.find(day);
    return found == days.end() ? 0 : static_cast<double>(found->second);
  }

  // Normal equations over all items and days. Rows of zeros alone count for the constant only.
  void fit() {
    std::int64_t first = INT64_MAX;
    last_ = INT64_MIN;
    for (const Days& days : count_VT_) {
      if (days.empty()) continue;
      first = std::min(first, days.begin()->first);
      last_ = std::max(last_, days.rbegin()->first);
    }
    SR_CHECK(last_ - first >= 2 * days_, ErrorKind::data,
             "popularity_by_time: the training data spans {} days; --model.days={} needs {}",
             last_ < first ? 0 : last_ - first + 1, days_, 2 * days_ + 1);
    const std::size_t q = static_cast<std::size_t>(days_) + 1;
    std::vector<std::vector<double>> a_QQ(q, std::vector<double>(q, 0));
    std::vector<double> b_Q(q, 0), x_Q(q);
    for (const Days& days : count_VT_) {
      std::int64_t done = first + days_ - 1;  // last day that was summed
      for (const auto& [day, count] : days) {
        for (std::int64_t t = std::max(day, done + 1); t <= std::min(day + days_, last_); ++t) {
          x_Q[0] = 1;
          for (std::size_t i = 1; i < q; ++i) x_Q[i] = at(days, t - static_cast<std::int64_t>(i));
          const double y = at(days, t);
          for (std::size_t i = 0; i < q; ++i) {
            b_Q[i] += x_Q[i] * y;
            for (std::size_t j = 0; j < q; ++j) a_QQ[i][j] += x_Q[i] * x_Q[j];
          }
          done = t;
        }
      }
    }
    a_QQ[0][0] =
        static_cast<double>(count_VT_.size()) * static_cast<double>(last_ - first + 1 - days_);
    weights_ = solve(std::move(a_QQ), std::move(b_Q));
  }

  const std::vector<float>& forecast(std::int64_t day) {
    day = std::min(day, last_ + 1);
    const auto known = forecast_.find(day);
    if (known != forecast_.end()) return known->second;
    if (forecast_.size() >= kKeptDays) forecast_.clear();
    std::vector<double> expected_V(count_VT_.size());
    for (std::size_t v = 0; v < expected_V.size(); ++v) {
      expected_V[v] = weights_[0];
      for (std::int64_t i = 1; i <= days_; ++i)
        expected_V[v] += weights_[i] * at(count_VT_[v], day - i);
    }
    std::vector<std::int32_t> order(expected_V.size());
    std::iota(order.begin(), order.end(), 0);
    const auto key = [&](std::int32_t v) { return std::pair(expected_V[v], total_V_[v]); };
    std::sort(order.begin(), order.end(),
              [&](std::int32_t a, std::int32_t b) { return key(a) < key(b); });
    std::vector<float> score_V(order.size());
    float score = 0;
    for (std::size_t i = 0; i < order.size(); ++i) {
      if (i > 0 && key(order[i]) != key(order[i - 1])) ++score;
      score_V[order[i]] = score;
    }
    return forecast_[day] = std::move(score_V);
  }

  std::int64_t days_;
  std::vector<Days> count_VT_;
  std::vector<std::int64_t> total_V_;
  std::int64_t last_ = 0;                                // day of the training data
  std::vector<double> weights_;                          // a, b_1 .. b_p; empty: not fitted
  std::map<std::int64_t, std::vector<float>> forecast_;  // by day
};

SR_REGISTER_MODEL("popularity_by_time", PopularityByTime,
                  "autoregression of daily counts (Box and Jenkins 1970)");

}  // namespace
}  // namespace seqrank
