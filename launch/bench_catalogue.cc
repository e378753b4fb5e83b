// seqrank bench loss, seqrank bench table: time of a step against the number of items. Shows what
// trainer/bench_catalogue.h measured.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "backend/check.h"
#include "collective/communicator.h"
#include "launch/bench.h"
#include "launch/list.h"
#include "launch/memory_size.h"
#include "launch/output.h"
#include "launch/rank_device.h"
#include "launch/ranks.h"
#include "launch/report.h"
#include "launch/table.h"
#include "trainer/available_memory.h"
#include "trainer/bench_catalogue.h"
#include "trainer/bench_runner.h"

namespace seqrank {
namespace {

using Json = nlohmann::ordered_json;

std::vector<OptionSpec> common_options(const char* events, const char* events_words) {
  std::vector<OptionSpec> specs = {
      {"bench.items", OptionKind::text, "10000,100000,1000000,10000000", "catalogue sizes"},
      {"bench.width", OptionKind::integer, "64", "of a row", "1..8192"},
      {"bench.events", OptionKind::integer, events, events_words, "1..16777216"},
      {"bench.tables", OptionKind::text, "whole,split",
       "on every rank, or dealt out to all of them"},
      {"bench.repeats", OptionKind::integer, "9", "of everything measured, at most", "1..1000"},
      {"bench.seconds", OptionKind::real, "5",
       "of a row of the table: no repeat begins after that; a first step that takes as long is the "
       "only one",
       "0..3600"},
      {"bench.memory", OptionKind::text, "",
       "that a rank may take: 8G; what takes more is left out. Empty: its share of what the "
       "machine "
       "can give"}};
  for (OptionSpec& spec : rank_options()) specs.push_back(spec);
  for (OptionSpec& spec : device_options()) specs.push_back(spec);
  specs.push_back(json_option());
  return specs;
}

std::vector<OptionSpec> loss_options_of_bench() {
  std::vector<OptionSpec> specs =
      common_options("512", "states of a step, each with a target, of all ranks together");
  specs.push_back({"bench.losses", OptionKind::text, "whole,tiles,sampled",
                   "exact softmax over whole rows, in tiles, or over drawn negatives"});
  specs.push_back(
      {"bench.negatives", OptionKind::integer, "4096", "drawn, of a step", "1..1000000"});
  return specs;
}

std::vector<OptionSpec> table_options_of_bench() {
  return common_options("4096", "ids that a step looks up, of all ranks together, drawn evenly");
}

// Sets each flag that the list names.
void read_choice(const Options& given, const std::string& key,
                 std::initializer_list<std::pair<const char*, bool*>> flags) {
  for (const auto& [name, flag] : flags) *flag = false;
  for (const std::string& word : split_list(key, given.text(key))) {
    const auto found = std::ranges::find_if(flags, [&](const auto& f) { return word == f.first; });
    std::string names;
    for (const auto& [name, flag] : flags) names += (names.empty() ? "" : ", ") + std::string(name);
    SR_CHECK(found != flags.end(), ErrorKind::usage, "--{}={}: \"{}\" is none of {}", key,
             given.text(key), word, names);
    *found->second = true;
  }
}

CataloguePlan plan_of(const Options& given) {
  CataloguePlan plan;
  plan.items = number_list("bench.items", given.text("bench.items"), "1..2000000000");
  plan.width = given.integer("bench.width");
  plan.events = given.integer("bench.events");
  plan.repeats = given.integer("bench.repeats");
  plan.seconds = given.real("bench.seconds");
  read_choice(given, "bench.tables", {{"whole", &plan.whole}, {"split", &plan.split}});
  if (given.has("bench.memory"))
    plan.memory_bytes = parse_memory_size("bench.memory", given.text("bench.memory"));
  if (!given.declares("bench.losses")) return plan;
  plan.negatives = given.integer("bench.negatives");
  read_choice(given, "bench.losses",
              {{"whole", &plan.whole_rows}, {"tiles", &plan.tiles}, {"sampled", &plan.sampled}});
  return plan;
}

Json to_json(const CatalogueRow& row) {
  Json json = {{"what", row.what}, {"table", row.table}, {"items", row.items}};
  if (!row.skipped.empty()) {
    json["skipped"] = row.skipped;
    return json;
  }
  if (!row.part.empty()) json["part"] = row.part;
  const auto [least, most] = std::ranges::minmax_element(row.seconds);
  json["repeats"] = row.seconds.size();
  json["warm"] = row.warm;
  json["seconds"] = {{"median", median(row.seconds)}, {"least", *least}, {"most", *most}};
  json["flops"] = row.flops;
  json["bytes"] = row.bytes;
  json["matmul_flops_per_s"] = row.rates.flops_per_s;
  json["copy_bytes_per_s"] = row.rates.bytes_per_s;
  if (row.rates.bus_bytes_per_s > 0) {
    json["bus_bytes"] = row.bus_bytes;
    json["bus_bytes_per_s"] = row.rates.bus_bytes_per_s;
  }
  json["floor_seconds"] = row.floor_seconds();
  json["extra_bytes"] = row.extra_bytes;
  json["held_bytes"] = json_of(row.held_bytes);
  json["peak_bytes"] = json_of(row.peak_bytes);
  return json;
}

std::string to_json_text(const std::string& name, const std::vector<CatalogueRow>& rows,
                         const CataloguePlan& plan, const Context& ctx, int ranks) {
  Json json = {{"bench", name},       {"device", device_name(ctx.device())},
               {"ranks", ranks},      {"threads", ctx.threads()},
               {"width", plan.width}, {"events", plan.events}};
  if (name == "loss") json["negatives"] = plan.negatives;
  json["rows"] = Json::array();
  for (const CatalogueRow& row : rows) json["rows"].push_back(to_json(row));
  return json.dump(2) + "\n";
}

void print_rows(const std::vector<CatalogueRow>& rows, const CataloguePlan& plan, int ranks) {
  print_out(fmt::format(
      "{} rank{}, {} events of width {}; medians, and ranges. The floor is what products "
      "and copies of memory, and of the host's to and from a GPU, take that all ranks make at "
      "once.\n\n",
      ranks, ranks == 1 ? "" : "s", with_commas(plan.events), plan.width));
  std::vector<std::vector<std::string>> lines;
  for (const CatalogueRow& row : rows) {
    const std::string what =
        row.what + (row.part.empty() ? "" : ": " + row.part) + ", " + row.table;
    if (!row.skipped.empty()) {
      lines.push_back({with_commas(row.items), what, "left out", row.skipped, "", "", ""});
      continue;
    }
    const auto [least, most] = std::ranges::minmax_element(row.seconds);
    const double seconds = median(row.seconds);
    lines.push_back({with_commas(row.items), what, fmt::format("{:.3f}", 1e3 * seconds),
                     fmt::format("{:.3f} to {:.3f}", 1e3 * *least, 1e3 * *most),
                     fmt::format("{:.3f}", 1e3 * row.floor_seconds()),
                     fmt::format("{:.1f}", seconds / row.floor_seconds()),
                     memory_words(row.extra_bytes)});
  }
  print_out(
      format_table({"items", "what, table", "ms", "range", "floor, ms", "times it", "extra memory"},
                   lines, {1}));
}

using Measure = std::vector<CatalogueRow> (*)(const Context&, const Communicators&,
                                              const CataloguePlan&);

int run_bench(const Options& given, Communicator& comm, const char* name, Measure measure) {
  CataloguePlan plan = plan_of(given);
  RankDevice device(comm, given, rank_threads(comm, given));
  if (plan.memory_bytes == 0 && device.ctx().device() == Device::cpu)
    plan.memory_bytes = available_memory_bytes() / comm.split_shared()->size();
  const auto rows = measure(device.ctx(), device.ranks(), plan);
  if (comm.rank() != 0) return 0;
  if (!device.why().empty()) print_out(device.why() + "\n");
  print_rows(rows, plan, comm.size());
  if (given.has("json"))
    write_file(given.text("json"), to_json_text(name, rows, plan, device.ctx(), comm.size()));
  return 0;
}

void dry_run(const Options& given) {
  print_out(
      fmt::format("would measure at {} sizes of the catalogue\n", plan_of(given).items.size()));
}

}  // namespace

Bench loss_bench() {
  return {"loss",
          "the output layer and its loss against the number of items",
          {"mpirun -np 2 --bind-to none seqrank bench loss --threads=1 --bench.items=10000,1000000 "
           "--json=loss.json"},
          loss_options_of_bench,
          dry_run,
          [](const Options& given, Communicator& comm) {
            return run_bench(given, comm, "loss", bench_loss);
          }};
}

Bench table_bench() {
  return {"table",
          "rows looked up and updated, against the number of items",
          {"mpirun -np 2 --bind-to none seqrank bench table --threads=1 --json=table.json",
           "seqrank bench table --device=cuda --json=table.json   # tables on the host, too"},
          table_options_of_bench,
          dry_run,
          [](const Options& given, Communicator& comm) {
            return run_bench(given, comm, "table", bench_table);
          }};
}

}  // namespace seqrank
