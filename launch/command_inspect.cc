// seqrank inspect: what is in a data set, a run folder or a checkpoint. Only reads.
#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "backend/check.h"
#include "collective/communicator.h"
#include "data/inspect.h"
#include "launch/command.h"
#include "launch/memory_size.h"
#include "launch/output.h"
#include "launch/report.h"
#include "launch/table.h"
#include "trainer/checkpoint.h"
#include "trainer/evaluate.h"
#include "trainer/run_folder.h"

namespace seqrank {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

std::vector<OptionSpec> options() {
  return {{"path", OptionKind::text, "", "data set, run folder or checkpoint"}, json_option()};
}

struct Report {
  std::string text;
  Json json;
};

Json to_json(const DatasetSummary& s) {
  Json json = {{"kind", "data set"},
               {"path", s.path},
               {"fingerprint", s.fingerprint},
               {"sequences", s.sequences},
               {"items", s.items},
               {"items_used", s.items_used},
               {"events", s.events},
               {"with_targets", s.with_targets},
               {"length",
                {{"min", s.length_min},
                 {"median", s.length_median},
                 {"mean", s.length_mean},
                 {"max", s.length_max}}},
               {"head_share", s.head_share},
               {"attributes", s.attributes}};
  if (s.times) json["times"] = {s.times->first, s.times->second};
  if (s.tie_rate) json["tie_rate"] = *s.tie_rate;
  if (s.positive) json["positive"] = *s.positive;
  if (s.splits) {
    json["splits"] = {{"training", (*s.splits)[0]},
                      {"validation", (*s.splits)[1]},
                      {"test", (*s.splits)[2]},
                      {"last_targets_only", s.last_targets_only}};
  }
  for (const auto& feature : s.features) {
    Json frequent = Json::array();
    for (const auto& value : feature.frequent)
      frequent.push_back({{"value", value.text}, {"share", value.share}});
    json["features"].push_back(
        {{"name", feature.name}, {"values", feature.values}, {"frequent", frequent}});
  }
  for (const auto& popular : s.popular) {
    json["popular"].push_back(
        {{"item", popular.item}, {"title", popular.title}, {"count", popular.count}});
  }
  return json;
}

Report inspect_dataset(const std::string& path) {
  const DatasetSummary summary = summarise(Dataset::open(path));
  return {to_text(summary), to_json(summary)};
}

Report inspect_checkpoint(const std::string& path) {
  std::ifstream file(path + "/manifest.json", std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  SR_CHECK(file.good(), ErrorKind::checkpoint, "{}/manifest.json: cannot be read", path);
  const Manifest manifest = parse_manifest(text.str(), path + "/manifest.json");
  std::int64_t bytes = 0;
  std::map<std::string, std::int64_t> totals;
  for (const ShardRecord& shard : manifest.shards) {
    bytes += shard.bytes;
    for (const PieceRecord& piece : shard.pieces) totals[piece.name] = piece.total;
  }
  std::int64_t weights = 0;
  std::vector<std::vector<std::string>> rows;
  for (const auto& [name, total] : totals) {
    if (!name.ends_with("/weight")) continue;
    weights += total;
    rows.push_back({name.substr(0, name.size() - 7), with_commas(total)});
  }
  const TrainingState& state = manifest.state;
  std::string head =
      fmt::format("{}: checkpoint of step {}, {} shard{}, {}, {} parameters\n", path, state.step,
                  manifest.shards.size(), manifest.shards.size() == 1 ? "" : "s",
                  memory_words(bytes), with_commas(weights));
  if (state.best_step >= 0) {
    const auto protocol = state.config.find("data.protocol");
    const char* metric = selection_metric(
        protocol == state.config.end() ? ProtocolKind::p1 : protocol_from_name(protocol->second));
    head += fmt::format("best validation {} so far {:.4f} at step {}\n", metric_title(metric),
                        state.best_value, state.best_step);
  }
  Json json = {{"kind", "checkpoint"},
               {"path", path},
               {"step", state.step},
               {"shards", manifest.shards.size()},
               {"bytes", bytes},
               {"parameters", weights},
               {"best_step", state.best_step},
               {"dataset_fingerprint", state.dataset_fingerprint},
               {"config", state.config}};
  return {head + format_table({"parameter", "values"}, rows), json};
}

Report inspect_run(const std::string& path) {
  const RunFolder folder(path);
  std::vector<std::vector<std::string>> settings;
  const auto config = folder.config();
  for (const auto& [key, value] : config) settings.push_back({key, value});
  Report report;
  report.text = format_table({path, "run folder"}, settings, {0, 1});
  report.json = {
      {"kind", "run"}, {"path", path}, {"config", config}, {"checkpoints", Json::array()}};
  report.text += "\ncheckpoints (newest first)\n";
  for (const std::int64_t step : checkpoint_steps(folder.checkpoints())) {
    const std::string checkpoint = checkpoint_path(folder.checkpoints(), step);
    const bool whole = fs::exists(checkpoint + "/manifest.json");
    report.text += fmt::format("  {}{}\n", checkpoint, whole ? "" : "  (unfinished, never used)");
    report.json["checkpoints"].push_back({{"step", step}, {"whole", whole}});
  }
  return report;
}

Report inspect(const std::string& path) {
  std::error_code error;
  SR_CHECK(fs::exists(path, error), ErrorKind::data, "{}: no such file or folder", path);
  if (fs::is_directory(path, error)) {
    if (fs::exists(path + "/manifest.json", error)) return inspect_checkpoint(path);
    SR_CHECK(fs::exists(path + "/config.ini", error), ErrorKind::data,
             "{}: neither a run folder (no config.ini) nor a checkpoint (no manifest.json)", path);
    return inspect_run(path);
  }
  return inspect_dataset(path);
}

std::string path_of(const Options& given) {
  SR_CHECK(given.has("path"), ErrorKind::usage,
           "what to inspect is missing: seqrank inspect ml-1m.h5, or a run folder or checkpoint");
  return given.text("path");
}

void dry_run(const Options& given) {
  print_out(fmt::format("would inspect {}\n", path_of(given)));
}

int run(const Options& given, Communicator&) {
  const Report report = inspect(path_of(given));
  print_out(report.text);
  if (given.has("json")) {
    write_file(given.text("json"),
               report.json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
  }
  return 0;
}

}  // namespace

Command inspect_command() {
  Command command;
  command.name = "inspect";
  command.summary = "says what is in a data set, a run folder or a checkpoint";
  command.examples = {"seqrank inspect ml-1m.h5", "seqrank inspect runs/a",
                      "seqrank inspect runs/a/checkpoints/step-00002000"};
  command.bare_word = "path";
  command.options = options();
  command.dry_run = dry_run;
  command.run = run;
  return command;
}

}  // namespace seqrank
