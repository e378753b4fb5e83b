// By how much one model is ahead of another on the same questions, person by person: the spread
// between people, which is large, is then in no difference. Plain arithmetic on evaluations.
#pragma once

#include <string>
#include <vector>

#include "trainer/evaluate.h"

namespace seqrank {

// A metric that is compared, higher is better: "ndcg@10"; of clicks "auc_per_user" and
// "log_loss_gain", minus the log-loss.
std::vector<std::string> compared_metrics(const Evaluation& evaluation);

// Of each sequence that is asked: the mean over its questions. Not a number where it is undefined:
// an AUC of labels that are all alike.
std::vector<double> values_of_people(const Evaluation& evaluation, const std::string& metric);

// Several evaluations of one model, by seeds: of each person the mean.
std::vector<double> mean_values(const std::vector<const Evaluation*>& seeds,
                                const std::string& metric);

struct Ahead {
  std::string metric;
  double mean = 0;            // over people for whom both are defined
  double standard_error = 0;  // of that mean
  std::int64_t people = 0;
  // How sure it is: two and more are a difference.
  double standard_errors() const { return standard_error > 0 ? mean / standard_error : 0; }
};

// `a` less `b`, of the same people in the same order.
Ahead paired_difference(const std::string& metric, const std::vector<double>& a,
                        const std::vector<double>& b);

// Mean and standard deviation of a metric over seeds; the deviation of one is 0.
struct Spread {
  double mean = 0;
  double deviation = 0;
};
Spread spread(const std::vector<const Evaluation*>& seeds, const std::string& metric);

}  // namespace seqrank
