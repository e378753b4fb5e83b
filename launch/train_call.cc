// The trainer declares the options of a run; what only a call knows is added here.
#include "launch/train_call.h"

#include <algorithm>

#include "launch/model_choice.h"
#include "launch/rank_device.h"
#include "launch/ranks.h"
#include "launch/report.h"
#include "launch/stop_request.h"
#include "launch/world.h"
#include "trainer/train.h"

namespace seqrank {
namespace {

// About this call, not about the run: not saved with it, free to differ when it is resumed.
std::vector<OptionSpec> options_of_call() {
  std::vector<OptionSpec> specs = rank_options();
  for (OptionSpec& spec : device_options()) specs.push_back(spec);
  for (OptionSpec& spec : stop_options()) specs.push_back(spec);
  for (OptionSpec& spec : world_options()) specs.push_back(spec);
  specs.push_back(json_option());
  specs.push_back({"ranks", OptionKind::integer, "1",
                   "with --dry-run: of how many ranks, on one host, to tell the memory",
                   "1..1000000"});
  specs.push_back(
      {"memory", OptionKind::text, "",
       "what a rank may take of its device's memory, such as 64G: what would take more is refused "
       "before it begins. With --dry-run default: what there is here, of a host's memory for all "
       "ranks together"});
  return specs;
}

}  // namespace

std::vector<OptionSpec> train_call_options() {
  std::vector<OptionSpec> specs = train_options();
  for (OptionSpec& spec : options_of_call()) specs.push_back(spec);
  specs.push_back(model_name_option("attention_rnn"));
  return specs;
}

Options options_of_run(const Options& all) {
  const std::vector<OptionSpec> call = options_of_call();
  Options run;
  for (const OptionSpec& spec : all.specs()) {
    const bool is_of_call = std::any_of(
        call.begin(), call.end(), [&](const OptionSpec& other) { return other.key == spec.key; });
    if (is_of_call) continue;
    run.declare({spec});
    if (all.has(spec.key)) run.set(spec.key, all.text(spec.key), "command line");
  }
  return run;
}

}  // namespace seqrank
