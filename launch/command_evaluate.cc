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
  for (OptionSpec& spec : world_options()) specs.push_back(spec);
  specs.push_back(
      {"baselines", OptionKind::text, "", "counted models to put beside it: popularity,markov"});
  specs.push_back(
      {"split", OptionKind::choice, "test", "which events are to be predicted", "validation|test"});
  specs.push_back({"protocol", OptionKind::choice, "p1",
                   "p1: leave one out, the whole catalogue is ranked", "p1"});
  specs.push_back(json_option());
  return specs;
}

// Loaded, measured and let go: one model is in memory at a time.
Evaluation evaluate_one(Context& ctx, Communicator& comm, const Options& given,
                        const std::string& run, const std::string& name, const Dataset& dataset) {
  const auto loaded = load_model(ctx, comm, run, name, dataset, warn);
  apply_use_options(given, loaded->options);
  const Split split = given.text("split") == "test" ? Split::test : Split::validation;
  return evaluate(ctx, comm, *loaded->model, dataset,
                  evaluate_options_from(loaded->options, split));
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

  std::vector<std::string> names = {chosen_model(given)};
  std::vector<Evaluation> evaluations;
  evaluations.push_back(
      evaluate_one(ctx, comm, given, given.text("run"), given.text("model.name"), dataset));
  for (const std::string& baseline : split_list("baselines", given.text("baselines"))) {
    names.push_back(baseline);
    evaluations.push_back(evaluate_one(ctx, comm, given, "", baseline, dataset));
  }
  if (comm.rank() != 0) return 0;

  std::vector<NamedEvaluation> results;
  for (std::size_t i = 0; i < names.size(); ++i) results.push_back({names[i], &evaluations[i]});
  print_out(fmt::format("{}, protocol {}, {} split, {} people, {} items ranked for each\n",
                        dataset.path(), evaluations[0].protocol, evaluations[0].split,
                        with_commas(evaluations[0].sequences), with_commas(dataset.items())));
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
