// seqrank bench: how fast, as ratios against what is measured in the same run. Prints and trains;
// saves nothing but its numbers. What can be measured: bench.h.
#include <fmt/format.h>

#include "backend/check.h"
#include "launch/bench.h"
#include "launch/command.h"
#include "launch/model_choice.h"
#include "launch/ranks.h"
#include "launch/world.h"
#include "trainer/train.h"

namespace seqrank {
namespace {

const std::vector<Bench>& benches() {
  static const std::vector<Bench> all = {step_bench(),  ops_bench(),     loss_bench(),
                                         table_bench(), scaling_bench(), model_bench()};
  return all;
}

OptionSpec what_option() {
  std::vector<std::string> names, words;
  for (const Bench& bench : benches()) {
    names.push_back(bench.name);
    words.push_back(bench.name + ": " + bench.summary);
  }
  return {"what", OptionKind::choice, "", fmt::format("{}", fmt::join(words, "; ")),
          fmt::format("{}", fmt::join(names, "|"))};
}

const Bench* named_bench(const Options& given) {
  for (const Bench& bench : benches())
    if (given.text("what") == bench.name) return &bench;
  return nullptr;
}

const Bench& chosen_bench(const Options& given) {
  const Bench* bench = named_bench(given);
  SR_CHECK(bench != nullptr, ErrorKind::usage,
           "what to measure is missing: seqrank bench step --data=ml-1m.h5");
  return *bench;
}

// Those of the bench that was named; of all where none was, so that no option is called unknown
// before the word that is missing is.
std::vector<OptionSpec> more_options(const Options& known) {
  const Bench* named = named_bench(known);
  Options specs;
  for (const Bench& bench : benches()) {
    if (named != nullptr && named != &bench) continue;
    for (const OptionSpec& spec : bench.options())
      if (!specs.declares(spec.key)) specs.declare({spec});
  }
  std::vector<OptionSpec> more = specs.specs();
  if (known.declares("model.name"))
    for (const OptionSpec& spec : options_of_named_model(known)) more.push_back(spec);
  return more;
}

}  // namespace

std::vector<OptionSpec> training_bench_options() {
  std::vector<OptionSpec> specs;
  for (OptionSpec& spec : train_options())
    if (spec.key != "run") specs.push_back(spec);  // nothing is saved
  for (OptionSpec& spec : rank_options()) specs.push_back(spec);
  specs.push_back(model_name_option("attention_rnn"));
  return specs;
}

void check_training_bench(const Options& given) {
  SR_CHECK(given.has("data"), ErrorKind::usage,
           "--data is missing: the data set to train on, for example --data=ml-1m.h5");
}

Command bench_command() {
  Command command;
  command.name = "bench";
  command.summary = "speed of the training step, and of operators, on this machine";
  for (const Bench& bench : benches())
    command.examples.insert(command.examples.end(), bench.examples.begin(), bench.examples.end());
  command.bare_word = "what";
  command.options = world_options();
  command.options.insert(command.options.begin(), what_option());
  command.more_options = more_options;
  command.ranks = Ranks::several;
  command.dry_run = [](const Options& given) { chosen_bench(given).dry_run(given); };
  command.run = [](const Options& given, Communicator& comm) {
    return chosen_bench(given).run(given, comm);
  };
  return command;
}

}  // namespace seqrank
