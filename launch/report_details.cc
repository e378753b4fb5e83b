// Groups are of questions, so they are the same for all models.
#include "launch/report_details.h"

#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "launch/table.h"
#include "trainer/comparison.h"

namespace seqrank {
namespace {

std::vector<Bucket> groups_by(const Known& known, const std::string& by) {
  return buckets(by == "popularity" ? known.target_events_Q : known.history_Q);
}

// Whom no model is asked of: the same for all models.
bool has_new_people(const Known& known, const std::string& by) {
  return by == "history" && !known.new_people_rank.empty();
}

// Of the questions of a group; without "auc" where their labels are all alike.
Metrics group_metrics(const Evaluation& e, const Bucket& group) {
  if (!e.rank_Q.empty()) {
    std::vector<std::int32_t> rank_Q;
    for (const std::size_t q : group.questions) rank_Q.push_back(e.rank_Q[q]);
    const Metrics all = ranking_metrics(rank_Q);
    return {{"ndcg@10", all.at("ndcg@10")}, {"hr@10", all.at("hr@10")}};
  }
  std::vector<float> logit_Q;
  std::vector<std::uint8_t> label_Q;
  double loss = 0;
  for (const std::size_t q : group.questions) {
    logit_Q.push_back(e.logit_Q[q]);
    label_Q.push_back(e.label_Q[q]);
    loss += log_loss(e.logit_Q[q], e.label_Q[q] != 0);
  }
  Metrics metrics = {{"log_loss", loss / static_cast<double>(label_Q.size())}};
  if (const auto value = auc(logit_Q, label_Q)) metrics["auc"] = *value;
  return metrics;
}

Metrics mean_over_seeds(const EvaluatedModel& model, const Bucket& group) {
  Metrics mean;
  for (const Evaluation& seed : model.seeds)
    for (const auto& [metric, value] : group_metrics(seed, group))
      mean[metric] += value / static_cast<double>(model.seeds.size());
  return mean;
}

std::string range_text(const Bucket& group) {
  return group.first == group.last
             ? with_commas(group.first)
             : fmt::format("{} to {}", with_commas(group.first), with_commas(group.last));
}

}  // namespace

bool is_grouping(const std::string& by) {
  return by == "popularity" || by == "history";
}

std::string lists_table(const std::vector<EvaluatedModel>& results) {
  std::vector<std::string> metrics = {"coverage@10", "gini@10", "novelty@10", "popularity_lift@10"};
  if (results.at(0).seeds.at(0).metrics.contains("diversity@10")) metrics.push_back("diversity@10");
  std::vector<std::string> header = {"model"};
  for (const std::string& metric : metrics) header.push_back(metric_title(metric));
  std::vector<std::vector<std::string>> rows;
  for (const EvaluatedModel& model : results) {
    rows.push_back({fmt::format("{}", fmt::join(model.names, ","))});
    for (const std::string& metric : metrics)
      rows.back().push_back(fmt::format("{:.4f}", spread(pointers(model), metric).mean));
  }
  return format_table(header, rows);
}

std::string groups_table(const std::vector<EvaluatedModel>& results, const Known& known,
                         const std::string& by) {
  const Evaluation& asked = results.at(0).seeds.at(0);
  const std::string metric = asked.selection;
  std::vector<std::string> header = {
      by == "popularity" ? "training events of the item" : "events before", "questions"};
  for (const EvaluatedModel& model : results)
    header.push_back(
        fmt::format("{} {}", metric_title(metric), fmt::format("{}", fmt::join(model.names, ","))));
  std::vector<std::vector<std::string>> rows;
  if (has_new_people(known, by) && !asked.rank_Q.empty()) {
    const double value = ranking_metrics(known.new_people_rank).at(metric);
    rows.push_back({"0: by popularity", with_commas(std::ssize(known.new_people_rank))});
    rows.back().resize(header.size(), fmt::format("{:.4f}", value));
  }
  for (const Bucket& group : groups_by(known, by)) {
    rows.push_back({range_text(group), with_commas(std::ssize(group.questions))});
    for (const EvaluatedModel& model : results) {
      const Metrics metrics = mean_over_seeds(model, group);
      const auto found = metrics.find(metric);
      rows.back().push_back(found == metrics.end() ? "-" : fmt::format("{:.4f}", found->second));
    }
  }
  return format_table(header, rows);
}

nlohmann::ordered_json groups_json(const EvaluatedModel& model, const Known& known,
                                   const std::string& by) {
  nlohmann::ordered_json groups = nlohmann::ordered_json::array();
  if (has_new_people(known, by)) {
    const Metrics all = ranking_metrics(known.new_people_rank);
    groups.push_back({{"from", 0},
                      {"to", 0},
                      {"answered_by", "popularity of the scene"},
                      {"questions", known.new_people_rank.size()},
                      {"metrics", {{"ndcg@10", all.at("ndcg@10")}, {"hr@10", all.at("hr@10")}}}});
  }
  for (const Bucket& group : groups_by(known, by))
    groups.push_back({{"from", group.first},
                      {"to", group.last},
                      {"questions", group.questions.size()},
                      {"metrics", mean_over_seeds(model, group)}});
  return groups;
}

}  // namespace seqrank
