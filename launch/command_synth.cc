// seqrank synth: a data set whose best possible score is known.
#include <nlohmann/json.hpp>

#include "backend/check.h"
#include "data/synth.h"
#include "launch/command.h"
#include "launch/output.h"
#include "launch/report.h"
#include "launch/table.h"

namespace seqrank {
namespace {

std::vector<OptionSpec> options() {
  return {
      {"output", OptionKind::text, "", "the data set to write (.h5)"},
      {"items", OptionKind::integer, "1000", "items of the catalogue", "1..100000000"},
      {"sequences", OptionKind::integer, "20000", "sequences (people)", "1.."},
      {"length", OptionKind::integer, "50", "events of every sequence", "1.."},
      {"clusters", OptionKind::integer, "20", "clusters of items", "1.."},
      {"zipf", OptionKind::real, "1.2", "inside a cluster the r-th item has weight r^-zipf",
       "0..10"},
      {"concentration", OptionKind::real, "0.8", "probability of a cluster's likeliest successor",
       "0..1"},
      {"seed", OptionKind::integer, "1", "of everything that is drawn", "0.."},
      json_option(),
  };
}

SynthOptions synth_options(const Options& given) {
  SR_CHECK(given.has("output"), ErrorKind::usage,
           "--output is missing: the data set to write, for example --output=synth.h5");
  SynthOptions options;
  options.output = given.text("output");
  options.items = given.integer("items");
  options.sequences = given.integer("sequences");
  options.length = given.integer("length");
  options.clusters = given.integer("clusters");
  options.zipf = given.real("zipf");
  options.concentration = given.real("concentration");
  options.seed = static_cast<std::uint64_t>(given.integer("seed"));
  return options;
}

void dry_run(const Options& given) {
  const SynthOptions options = synth_options(given);
  print_out(fmt::format("would write {} sequences of {} events over {} items to {}\n",
                        with_commas(options.sequences), with_commas(options.length),
                        with_commas(options.items), options.output));
}

int run(const Options& given, Communicator&) {
  const SynthOptions options = synth_options(given);
  const SynthReport report = synth(options);
  print_out(format_table(
      {options.output, ""},
      {{"items", with_commas(report.items)},
       {"sequences", with_commas(report.sequences)},
       {"events", with_commas(report.events)},
       {"best possible NDCG@10, on average", fmt::format("{:.4f}", report.best_ndcg_10)},
       {"best possible HR@10, on average", fmt::format("{:.4f}", report.best_hr_10)},
       {"the same on the targets drawn: NDCG@10", fmt::format("{:.4f}", report.oracle_ndcg_10)},
       {"the same on the targets drawn: HR@10", fmt::format("{:.4f}", report.oracle_hr_10)}}));
  print_out(
      "(test split of protocol p1 with items seen before ranked again: "
      "--evaluate.seen=kept)\n");
  if (given.has("json")) {
    const nlohmann::ordered_json json = {{"output", options.output},
                                         {"items", report.items},
                                         {"sequences", report.sequences},
                                         {"events", report.events},
                                         {"best_ndcg@10", report.best_ndcg_10},
                                         {"best_hr@10", report.best_hr_10},
                                         {"oracle_ndcg@10", report.oracle_ndcg_10},
                                         {"oracle_hr@10", report.oracle_hr_10}};
    write_file(given.text("json"), json.dump(2) + "\n");
  }
  return 0;
}

}  // namespace

Command synth_command() {
  Command command;
  command.name = "synth";
  command.summary = "writes a data set of any size whose best possible score is known";
  command.examples = {
      "seqrank synth --items=1000000 --sequences=200000 --seed=7 --output=synth.h5"};
  command.options = options();
  command.dry_run = dry_run;
  command.run = run;
  return command;
}

}  // namespace seqrank
