// seqrank evaluate: full-catalogue metrics of a run or of a counted model, beside baselines, in one
// table.
#include <memory>

#include "backend/check.h"
#include "collective/communicator.h"
#include "launch/command.h"
#include "launch/list.h"
#include "launch/model_choice.h"
#include "launch/output.h"
#include "launch/rank_device.h"
#include "launch/ranks.h"
#include "launch/report.h"
#include "launch/table.h"
#include "launch/use_model.h"
#include "launch/world.h"
#include "trainer/evaluate.h"
#include "trainer/load_model.h"

namespace seqrank {
namespace {

std::vector<OptionSpec> options() {
  std::vector<OptionSpec> specs = use_model_options();
  for (OptionSpec& spec : specs)  // shorter, where it is given most often
    if (spec.key == "data.protocol") spec.key = "protocol";
  for (OptionSpec& spec : world_options()) specs.push_back(spec);
  specs.push_back(
      {"baselines", OptionKind::text, "", "counted models to put beside it: popularity,markov"});
  specs.push_back(
      {"split", OptionKind::choice, "test", "which events are to be predicted", "validation|test"});
  specs.push_back(json_option());
  return specs;
}

using Settings = std::map<std::string, std::string>;

// Loaded, measured and let go: one model is in memory at a time. Writes to `settings` how it was
// asked, so that others are asked the same.
Evaluation evaluate_one(Context& ctx, Communicator& comm, const std::string& run,
                        const std::string& name, const Dataset& dataset, Split split,
                        Settings& settings) {
  const auto loaded = load_model(ctx, comm, run, name, dataset, settings, warn);
  for (const OptionSpec& spec : evaluate_options())
    if (loaded->options.has(spec.key)) settings[spec.key] = loaded->options.text(spec.key);
  const Protocol protocol(dataset, protocol_options_from(loaded->options));
  return evaluate(ctx, comm, *loaded->model, protocol,
                  evaluate_options_from(loaded->options, split));
}

std::string headline(const Dataset& dataset, const Evaluation& first) {
  const std::string asked =
      first.rank_Q.empty()
          ? fmt::format("{} events scored", with_commas(std::ssize(first.sequence_Q)))
          : fmt::format("{} items ranked for each", with_commas(dataset.items()));
  const std::string questions =
      first.rank_Q.empty() || std::ssize(first.rank_Q) == first.sequences
          ? ""
          : fmt::format(", {} questions", with_commas(std::ssize(first.rank_Q)));
  return fmt::format("{}, protocol {}, {} split, {} people{}, {}\n", dataset.path(), first.protocol,
                     first.split, with_commas(first.sequences), questions, asked);
}

void dry_run(const Options& given) {
  const Dataset dataset = open_for_use(given);
  print_out(fmt::format("would evaluate {} on the {} split of {} ({} sequences, {} items)\n",
                        chosen_model(given), given.text("split"), dataset.path(),
                        with_commas(dataset.sequences()), with_commas(dataset.items())));
}

int run(const Options& given, Communicator& comm) {
  const Dataset dataset = open_for_use(given);
  RankDevice device(comm, given, rank_threads(comm, given));
  if (comm.rank() == 0 && !device.why().empty()) warn(device.why());
  Context& ctx = device.ctx();

  const Split split = given.text("split") == "test" ? Split::test : Split::validation;
  Settings settings = use_settings(given);
  if (given.has("protocol")) settings["data.protocol"] = given.text("protocol");
  std::vector<std::string> names = {chosen_model(given)};
  std::vector<Evaluation> evaluations;
  evaluations.push_back(evaluate_one(ctx, comm, given.text("run"), given.text("model.name"),
                                     dataset, split, settings));
  for (const std::string& baseline : split_list("baselines", given.text("baselines"))) {
    names.push_back(baseline);
    evaluations.push_back(evaluate_one(ctx, comm, "", baseline, dataset, split, settings));
  }
  if (comm.rank() != 0) return 0;

  std::vector<NamedEvaluation> results;
  for (std::size_t i = 0; i < names.size(); ++i) results.push_back({names[i], &evaluations[i]});
  print_out(headline(dataset, evaluations[0]));
  print_out(evaluation_table(results));
  if (given.has("json")) write_file(given.text("json"), evaluation_json(results));
  return 0;
}

}  // namespace

Command evaluate_command() {
  Command command;
  command.name = "evaluate";
  command.summary = "ranking metrics of a run or a counted model, over the whole catalogue";
  command.examples = {
      "seqrank evaluate --run=runs/a --data=ml-1m.h5 --baselines=popularity,markov "
      "--json=eval.json",
      "seqrank evaluate --model.name=popularity --data=ml-1m.h5"};
  command.options = options();
  command.ranks = Ranks::several;
  command.dry_run = dry_run;
  command.run = run;
  return command;
}

}  // namespace seqrank
