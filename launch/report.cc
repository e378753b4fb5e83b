// Differences are paired: the same users under both models, so that the spread between users, which
// is large, does not hide them.
#include "launch/report.h"

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "backend/check.h"
#include "launch/list.h"
#include "launch/table.h"
#include "trainer/evaluate.h"

namespace seqrank {
namespace {

struct Difference {
  double mean = 0;
  double standard_error = 0;
};

double gain_at_10(std::int32_t rank) {
  return rank > 10 ? 0 : 1 / std::log2(1.0 + rank);
}

// NDCG@10 of `a` less that of `b`, of each sequence the mean over its questions.
Difference paired_difference(const Evaluation& a, const Evaluation& b) {
  SR_ASSERT(a.sequence_Q == b.sequence_Q, "models that were asked different questions");
  double sum = 0, squares = 0;
  std::int64_t n = 0;
  for (std::size_t begin = 0, end = 0; begin < a.rank_Q.size(); begin = end) {
    double difference = 0;
    for (; end < a.rank_Q.size() && a.sequence_Q[end] == a.sequence_Q[begin]; ++end)
      difference += gain_at_10(a.rank_Q[end]) - gain_at_10(b.rank_Q[end]);
    difference /= static_cast<double>(end - begin);
    sum += difference;
    squares += difference * difference;
    ++n;
  }
  if (n < 2) return {};
  const double count = static_cast<double>(n);
  const double mean = sum / count;
  const double variance = std::max(0.0, (squares - count * mean * mean) / (count - 1));
  return {mean, std::sqrt(variance / count)};
}

nlohmann::ordered_json to_json(const NamedEvaluation& named) {
  const Evaluation& e = *named.evaluation;
  return {{"model", named.name},
          {"protocol", e.protocol},
          {"split", e.split},
          {"sequences", e.sequences},
          {"questions", e.sequence_Q.size()},
          {"ties", e.ties},
          {"metrics", e.metrics},
          {"seconds", e.seconds},
          {"ranks", e.ranks}};
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

OptionSpec json_option() {
  return {"json", OptionKind::text, "", "also write the numbers to this file, as JSON"};
}

void check_json_path(const Options& given) {
  if (!given.has("json")) return;
  namespace fs = std::filesystem;
  const std::string& json = given.text("json");
  for (const char* key :
       {"input", "titles", "test", "user-features", "item-features", "data", "path", "output"}) {
    if (!given.has(key)) continue;
    for (const std::string& path : split_list(key, given.text(key))) {
      std::error_code ignored;
      const bool same =
          fs::equivalent(path, json, ignored) ||  // what is there, by any name
          fs::absolute(path).lexically_normal() == fs::absolute(json).lexically_normal();
      SR_CHECK(!same, ErrorKind::usage, "--json={} is also --{}; give the numbers another file",
               json, key);
    }
  }
}

std::string evaluation_json(const std::vector<NamedEvaluation>& results) {
  nlohmann::ordered_json json = to_json(results.at(0));
  for (std::size_t i = 1; i < results.size(); ++i) {
    nlohmann::ordered_json baseline = to_json(results[i]);
    if (!results[0].evaluation->rank_Q.empty()) {
      const auto [mean, error] = paired_difference(*results[0].evaluation, *results[i].evaluation);
      baseline["ndcg@10_first_is_ahead_by"] = {{"mean", mean}, {"standard_error", error}};
    }
    json["baselines"].push_back(baseline);
  }
  return json.dump(2) + "\n";
}

std::string evaluation_table(const std::vector<NamedEvaluation>& results) {
  const std::vector<std::string> metrics = shown_metrics(*results.at(0).evaluation);
  std::vector<std::string> header = {"model"};
  for (const std::string& metric : metrics) header.push_back(metric_title(metric));
  const bool compares = results.size() > 1 && !results[0].evaluation->rank_Q.empty();
  if (compares) header.push_back("first is ahead by (NDCG@10)");
  header.push_back("seconds");
  std::vector<std::vector<std::string>> rows;
  for (const auto& [name, evaluation] : results) {
    std::vector<std::string> row = {name};
    for (const std::string& metric : metrics) {
      const auto found = evaluation->metrics.find(metric);
      row.push_back(found == evaluation->metrics.end() ? "-"
                                                       : fmt::format("{:.4f}", found->second));
    }
    if (compares) {
      const auto [mean, error] = paired_difference(*results[0].evaluation, *evaluation);
      row.push_back(rows.empty() ? "" : fmt::format("{:.4f} +- {:.4f}", mean, error));
    }
    row.push_back(fmt::format("{:.1f}", evaluation->seconds));
    rows.push_back(row);
  }
  return format_table(header, rows);
}

}  // namespace seqrank
