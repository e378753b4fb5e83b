// Differences are paired: the same users under both models, so that the spread between users, which
// is large, does not hide them.
#include "launch/report.h"

#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "backend/check.h"
#include "launch/report_details.h"
#include "launch/table.h"
#include "trainer/comparison.h"

namespace seqrank {
namespace {

using Json = nlohmann::ordered_json;

std::vector<Ahead> ahead_of(const EvaluatedModel& first, const EvaluatedModel& other) {
  const Evaluation& asked = first.seeds.at(0);
  SR_ASSERT(asked.sequence_Q == other.seeds.at(0).sequence_Q, "models asked different questions");
  std::vector<Ahead> all;
  for (const std::string& metric : compared_metrics(asked))
    all.push_back(paired_difference(metric, mean_values(pointers(first), metric),
                                    mean_values(pointers(other), metric)));
  return all;
}

Json to_json(const EvaluatedModel& model, const Groupings& groupings) {
  const Evaluation& e = model.seeds.at(0);
  Json metrics, deviation, seeds;
  for (const auto& [metric, value] : e.metrics) {
    const Spread over_seeds = spread(pointers(model), metric);
    metrics[metric] = over_seeds.mean;
    deviation[metric] = over_seeds.deviation;
  }
  std::int64_t ties = 0;
  double seconds = 0;
  for (std::size_t i = 0; i < model.seeds.size(); ++i) {
    ties += model.seeds[i].ties;
    seconds += model.seeds[i].seconds;
    seeds.push_back({{"model", model.names.at(i)}, {"metrics", model.seeds[i].metrics}});
  }
  Json json = {{"model", fmt::format("{}", fmt::join(model.names, ","))},
               {"protocol", e.protocol},
               {"split", e.split},
               {"sequences", e.sequences},
               {"questions", e.sequence_Q.size()},
               {"ties", ties},
               {"metrics", metrics}};
  if (model.seeds.size() > 1) {
    json["deviation_over_seeds"] = deviation;
    json["seeds"] = seeds;
  }
  for (const std::string& by : groupings.by)
    json["by"][by] = groups_json(model, groupings.known, by);
  json["seconds"] = seconds;
  json["ranks"] = e.ranks;
  return json;
}

std::vector<std::string> shown_metrics(const Evaluation& evaluation) {
  switch (protocol_from_name(evaluation.protocol)) {
    case ProtocolKind::p1:
      return {"ndcg@10", "hr@1", "hr@5", "hr@10", "mrr@10"};
    case ProtocolKind::temporal:
      return {"ndcg@10", "hr@1", "hr@10", "mrr@10", "recall@10", "recall@20"};
    case ProtocolKind::session:
      return {"ndcg@10", "hr@10", "mrr@10", "hr@20", "mrr@20"};
    case ProtocolKind::ctr:
      return {"auc", "auc_per_user", "log_loss", "accuracy", "f1"};
  }
  SR_ASSERT(false, "protocol {}", evaluation.protocol);
}

}  // namespace

std::vector<const Evaluation*> pointers(const EvaluatedModel& model) {
  std::vector<const Evaluation*> all;
  for (const Evaluation& seed : model.seeds) all.push_back(&seed);
  return all;
}

OptionSpec json_option() {
  return {"json", OptionKind::text, "", "also write the numbers to this file, as JSON"};
}

std::string evaluation_json(const std::vector<EvaluatedModel>& results,
                            const Groupings& groupings) {
  Json json = to_json(results.at(0), groupings);
  for (std::size_t i = 1; i < results.size(); ++i) {
    Json other = to_json(results[i], groupings);
    for (const Ahead& ahead : ahead_of(results[0], results[i]))
      other[ahead.metric + "_first_is_ahead_by"] = {{"mean", ahead.mean},
                                                    {"standard_error", ahead.standard_error},
                                                    {"standard_errors", ahead.standard_errors()},
                                                    {"people", ahead.people}};
    json[results[i].part].push_back(other);
  }
  return json.dump(2) + "\n";
}

std::string evaluation_table(const std::vector<EvaluatedModel>& results) {
  const Evaluation& asked = results.at(0).seeds.at(0);
  const std::vector<std::string> metrics = shown_metrics(asked);
  std::vector<std::string> header = {"model"};
  for (const std::string& metric : metrics) header.push_back(metric_title(metric));
  if (results.size() > 1)
    for (const std::string& metric : compared_metrics(asked))
      header.push_back(fmt::format("first is ahead by ({})", metric_title(metric)));
  header.push_back("seconds");
  std::vector<std::vector<std::string>> rows;
  for (const EvaluatedModel& model : results) {
    std::vector<std::string> row = {fmt::format("{}", fmt::join(model.names, ","))};
    for (const std::string& metric : metrics) {
      if (!model.seeds.at(0).metrics.contains(metric)) {
        row.push_back("-");
        continue;
      }
      const Spread over_seeds = spread(pointers(model), metric);
      row.push_back(model.seeds.size() == 1
                        ? fmt::format("{:.4f}", over_seeds.mean)
                        : fmt::format("{:.4f} ({:.4f})", over_seeds.mean, over_seeds.deviation));
    }
    if (results.size() > 1)
      for (const Ahead& ahead : ahead_of(results[0], model))
        row.push_back(rows.empty() ? ""
                                   : fmt::format("{:.4f} +- {:.4f} ({:.1f})", ahead.mean,
                                                 ahead.standard_error, ahead.standard_errors()));
    double seconds = 0;
    for (const Evaluation& seed : model.seeds) seconds += seed.seconds;
    row.push_back(fmt::format("{:.1f}", seconds));
    rows.push_back(row);
  }
  return format_table(header, rows);
}

}  // namespace seqrank
