// Three forms of one list.
#include "launch/recommendation_file.h"

#include <nlohmann/json.hpp>

#include "backend/check.h"
#include "data/dataset_writer.h"
#include "launch/output.h"

namespace seqrank {
namespace {

nlohmann::ordered_json json_of(std::span<const RecommendedItem> items) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const RecommendedItem& item : items)
    list.push_back({{"item", item.key}, {"title", item.title}, {"score", item.score}});
  return list;
}

std::string dump(const nlohmann::ordered_json& json) {
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + "\"";
}

std::string to_csv(std::span<const Recommendation> recommendations) {
  std::string text = "user,place,item,title,score\n";
  for (const Recommendation& one : recommendations)
    for (std::size_t i = 0; i < one.items.size(); ++i)
      text +=
          fmt::format("{},{},{},{},{}\n", csv_field(one.user), i + 1, csv_field(one.items[i].key),
                      csv_field(one.items[i].title), one.items[i].score);
  return text;
}

std::string to_jsonl(std::span<const Recommendation> recommendations) {
  std::string text;
  for (const Recommendation& one : recommendations)
    text += dump({{"user", one.user}, {"items", json_of(one.items)}}) + "\n";
  return text;
}

void write_data_set(const std::string& path, const Dataset& dataset,
                    std::span<const Recommendation> recommendations) {
  DatasetWriter writer(path);
  for (const Recommendation& one : recommendations) {
    std::vector<std::int32_t> items;
    std::vector<float> scores;
    for (const RecommendedItem& item : one.items) {
      items.push_back(static_cast<std::int32_t>(item.item));
      scores.push_back(item.score);
    }
    writer.add_sequence(items, {});
    writer.append("/event/feature/score", scores);
    writer.add_user_key(one.user);
  }
  dataset.for_each_item_key([&](std::string_view key) { writer.add_item_key(key); });
  dataset.for_each_item_title([&](std::string_view title) { writer.add_item_title(title); });
  writer.finish(dataset.items());
}

}  // namespace

void check_recommendation_file(const std::string& path) {
  SR_CHECK(path.ends_with(".csv") || path.ends_with(".jsonl") || path.ends_with(".h5"),
           ErrorKind::usage, "--output={}: must end in .csv, .jsonl or .h5, which says the form",
           path);
}

void write_recommendations(const std::string& path, const Dataset& dataset,
                           std::span<const Recommendation> recommendations) {
  check_recommendation_file(path);
  if (path.ends_with(".csv"))
    write_file(path, to_csv(recommendations));
  else if (path.ends_with(".jsonl"))
    write_file(path, to_jsonl(recommendations));
  else
    write_data_set(path, dataset, recommendations);
}

std::string items_json(std::span<const RecommendedItem> items) {
  return dump(json_of(items));
}

}  // namespace seqrank
