// Sums in order of people: the same bits for the same evaluations.
#include "trainer/comparison.h"

#include <cmath>
#include <limits>

#include "backend/check.h"

namespace seqrank {
namespace {

double value_of_person(const Evaluation& e, const std::string& metric, std::size_t begin,
                       std::size_t end) {
  if (metric == "auc_per_user")
    return auc(std::span(e.logit_Q).subspan(begin, end - begin),
               std::span(e.label_Q).subspan(begin, end - begin))
        .value_or(std::numeric_limits<double>::quiet_NaN());
  double sum = 0;
  for (std::size_t q = begin; q < end; ++q)
    sum +=
        metric == "ndcg@10" ? ndcg_at(10, e.rank_Q[q]) : -log_loss(e.logit_Q[q], e.label_Q[q] != 0);
  return sum / static_cast<double>(end - begin);
}

// Mean, and the standard deviation of what was added.
Spread spread_of(const std::vector<double>& values) {
  if (values.empty()) return {};
  const auto n = static_cast<double>(values.size());
  double sum = 0, squares = 0;
  for (const double value : values) sum += value, squares += value * value;
  const double mean = sum / n;
  if (values.size() < 2) return {mean, 0};
  return {mean, std::sqrt(std::max(0.0, (squares - n * mean * mean) / (n - 1)))};
}

}  // namespace

std::vector<std::string> compared_metrics(const Evaluation& evaluation) {
  if (evaluation.rank_Q.empty()) return {"auc_per_user", "log_loss_gain"};
  return {"ndcg@10"};
}

std::vector<double> values_of_people(const Evaluation& evaluation, const std::string& metric) {
  std::vector<double> values;
  for (std::size_t begin = 0, end = 0; begin < evaluation.sequence_Q.size(); begin = end) {
    end = end_of_user(evaluation.sequence_Q, begin);
    values.push_back(value_of_person(evaluation, metric, begin, end));
  }
  return values;
}

std::vector<double> mean_values(const std::vector<const Evaluation*>& seeds,
                                const std::string& metric) {
  std::vector<double> mean = values_of_people(*seeds.at(0), metric);
  for (std::size_t i = 1; i < seeds.size(); ++i) {
    SR_ASSERT(seeds[i]->sequence_Q == seeds[0]->sequence_Q, "models that were asked differently");
    const std::vector<double> more = values_of_people(*seeds[i], metric);
    for (std::size_t p = 0; p < mean.size(); ++p) mean[p] += more[p];
  }
  for (double& value : mean) value /= static_cast<double>(seeds.size());
  return mean;
}

Ahead paired_difference(const std::string& metric, const std::vector<double>& a,
                        const std::vector<double>& b) {
  SR_ASSERT(a.size() == b.size(), "{} people and {}", a.size(), b.size());
  std::vector<double> difference;
  for (std::size_t p = 0; p < a.size(); ++p)
    if (!std::isnan(a[p]) && !std::isnan(b[p])) difference.push_back(a[p] - b[p]);
  const Spread all = spread_of(difference);
  const auto people = static_cast<std::int64_t>(difference.size());
  return {metric, all.mean, people > 0 ? all.deviation / std::sqrt(static_cast<double>(people)) : 0,
          people};
}

Spread spread(const std::vector<const Evaluation*>& seeds, const std::string& metric) {
  std::vector<double> values;
  for (const Evaluation* seed : seeds) values.push_back(seed->metrics.at(metric));
  return spread_of(values);
}

}  // namespace seqrank
