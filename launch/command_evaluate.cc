// seqrank evaluate: metrics of a run or of a counted model, beside others and compared with them
// user by user, in one table.
#include <algorithm>
#include <filesystem>
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
#include "launch/report_details.h"
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
  specs.push_back({"against", OptionKind::text, "",
                   "run folders or counted models to compare it with, user by user; with several "
                   "--run, which are one model with several seeds, these are one model too"});
  specs.push_back(cold_items_option());
  specs.push_back(
      {"by", OptionKind::text, "",
       "tell groups of questions apart: by popularity (training events of the item asked "
       "for, from none), history (events before it), or both"});
  specs.push_back({"lists", OptionKind::flag, "no",
                   "what the ten best items are like: coverage, Gini, novelty, popularity lift; "
                   "ranks a second time"});
  specs.push_back({"category", OptionKind::text, "",
                   "with --lists: a feature of the items, for the diversity of lists"});
  specs.push_back(
      {"split", OptionKind::choice, "test", "which events are to be predicted", "validation|test"});
  specs.push_back(json_option());
  return specs;
}

using Settings = std::map<std::string, std::string>;

// Loaded, measured and let go: one model is in memory at a time.
class Evaluator {
 public:
  Evaluator(Context& ctx, const Communicators& ranks, const Dataset& dataset, const Options& given)
      : ctx_(ctx),
        ranks_(ranks),
        comm_(ranks.host),
        dataset_(dataset),
        given_(given),
        split_(given.text("split") == "test" ? Split::test : Split::validation),
        lists_(given.flag("lists")),
        category_(given.text("category")),
        settings_(use_settings(given)) {
    if (given.has("protocol")) settings_["data.protocol"] = given.text("protocol");
  }
  // Names of counted models, or run folders.
  EvaluatedModel evaluate_all(const std::string& part, const std::vector<std::string>& models) {
    EvaluatedModel result{part, models, {}};
    for (const std::string& model : models) result.seeds.push_back(evaluate_one(model));
    return result;
  }

  // Of what all were asked.
  Known known() const { return known_of(Questions(Protocol(dataset_, asked_), split_)); }

 private:
  Evaluation evaluate_one(const std::string& model) {
    const std::vector<std::string> names = model_names();
    const bool is_run =
        std::filesystem::is_directory(model) || std::ranges::find(names, model) == names.end();
    const auto loaded = load_model(ctx_, ranks_, is_run ? model : "", is_run ? "" : model, dataset_,
                                   settings_, warn);
    // The others are asked what the first was; each by as much history as it was made for.
    for (const OptionSpec& spec : evaluate_options())
      if (loaded->options.has(spec.key) && spec.key != "data.max_length" &&
          !spec.key.starts_with("table."))
        settings_[spec.key] = loaded->options.text(spec.key);
    serve_cold_items(ctx_, comm_, given_, dataset_, *loaded);
    const Protocol protocol(dataset_, protocol_options_from(loaded->options));
    SR_CHECK(!lists_ || protocol.kind() != ProtocolKind::ctr, ErrorKind::usage,
             "--lists: protocol ctr asks for clicks and ranks no items");
    const EvaluateOptions options = evaluate_options_from(loaded->options, split_);
    Evaluation result =
        evaluate(ctx_, comm_, *loaded->model, protocol, options, loaded->exchange.get());
    if (lists_)
      result.metrics.merge(evaluate_lists(ctx_, comm_, *loaded->model, protocol, options, category_,
                                          loaded->exchange.get()));
    asked_ = protocol_options_from(loaded->options);
    return result;
  }

  Context& ctx_;
  Communicators ranks_;
  Communicator& comm_;  // of hosts
  const Dataset& dataset_;
  const Options& given_;
  Split split_;
  bool lists_;
  std::string category_;
  Settings settings_;
  ProtocolOptions asked_;
};

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

  SR_CHECK(given.text("category").empty() || given.flag("lists"), ErrorKind::usage,
           "--category={}: is for the diversity of lists; give --lists too",
           given.text("category"));
  Groupings groupings{split_list("by", given.text("by"))};
  for (const std::string& by : groupings.by)
    SR_CHECK(is_grouping(by), ErrorKind::usage, "--by={}: it is popularity or history", by);
  Evaluator evaluator(ctx, comm.size() > 1 ? device.ranks() : Communicators(comm), dataset, given);
  std::vector<EvaluatedModel> results;
  const auto first = split_list("run", chosen_model(given));
  const auto against = split_list("against", given.text("against"));
  results.push_back(evaluator.evaluate_all("", first));
  if (first.size() > 1 && !against.empty()) {
    results.push_back(evaluator.evaluate_all("against", against));
  } else {
    for (const std::string& model : against)
      results.push_back(evaluator.evaluate_all("against", {model}));
  }
  for (const std::string& baseline : split_list("baselines", given.text("baselines")))
    results.push_back(evaluator.evaluate_all("baselines", {baseline}));
  if (comm.rank() != 0) return 0;

  print_out(headline(dataset, results[0].seeds[0]));
  print_out(evaluation_table(results));
  if (given.flag("lists")) print_out("\n" + lists_table(results));
  if (!groupings.by.empty()) groupings.known = evaluator.known();
  for (const std::string& by : groupings.by)
    print_out("\n" + groups_table(results, groupings.known, by));
  if (given.has("json")) write_file(given.text("json"), evaluation_json(results, groupings));
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
      "seqrank evaluate --run=runs/a1,runs/a2,runs/a3 --against=runs/b1,runs/b2,runs/b3 "
      "--data=ml-1m.h5",
      "seqrank evaluate --model.name=popularity --data=ml-1m.h5"};
  command.options = options();
  command.more_options = options_of_named_model;
  command.ranks = Ranks::several;
  command.dry_run = dry_run;
  command.run = run;
  return command;
}

}  // namespace seqrank
