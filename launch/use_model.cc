// A run brings its own options; the command line may only change how it is asked.
#include "launch/use_model.h"

#include <algorithm>
#include <cstdio>

#include "backend/check.h"
#include "launch/model_choice.h"
#include "launch/rank_device.h"
#include "launch/ranks.h"
#include "trainer/cold_start.h"
#include "trainer/evaluate.h"

namespace seqrank {

std::vector<OptionSpec> use_model_options() {
  std::vector<OptionSpec> specs = {
      {"run", OptionKind::text, "", "run folder of the trained model"},
      {"data", OptionKind::text, "", "data set (HDF5), as `seqrank prepare` writes it"}};
  specs.push_back(model_name_option(""));
  specs.back().help = "instead of --run: a model that is counted, not trained";
  for (OptionSpec& spec : evaluate_options()) {
    spec.help +=
        spec.default_value.empty()
            ? " (default: as the run was trained)"
            : fmt::format(" (default: as the run was trained; else {})", spec.default_value);
    spec.default_value = "";
    specs.push_back(spec);
  }
  for (OptionSpec& spec : rank_options()) specs.push_back(spec);
  for (OptionSpec& spec : device_options()) specs.push_back(spec);
  return specs;
}

Dataset open_for_use(const Options& given) {
  SR_CHECK(given.has("data"), ErrorKind::usage,
           "--data is missing: the data set, for example --data=ml-1m.h5");
  SR_CHECK(given.has("run") != given.has("model.name"), ErrorKind::usage,
           "give either --run=FOLDER, a trained model, or --model.name=NAME, a counted one");
  return Dataset::open(given.text("data"));
}

void warn(const std::string& line) {
  std::fputs((line + "\n").c_str(), stderr);
}

std::string chosen_model(const Options& given) {
  return given.has("run") ? given.text("run") : given.text("model.name");
}

std::unique_ptr<LoadedModel> load_for_use(RankDevice& device, Communicator& comm,
                                          const Options& given, const Dataset& dataset) {
  std::map<std::string, std::string> settings = use_settings(given);
  if (!given.has("table.group")) settings["table.group"] = "all";
  auto loaded = load_model(device.ctx(), comm.size() > 1 ? device.ranks() : Communicators(comm),
                           given.text("run"), given.text("model.name"), dataset, settings, warn);
  SR_CHECK(comm.size() == 1 || loaded->exchange, ErrorKind::usage,
           "{} is whole on each of {} ranks, of which one would do: start it without mpirun, or "
           "give --table.split=yes",
           loaded->origin, comm.size());
  if (loaded->exchange) check_can_answer_split(*loaded->model);
  return loaded;
}

OptionSpec cold_items_option() {
  return {"cold-items", OptionKind::choice, "kept",
          "vectors of items that training has no event of. kept: as they began; features: the mean "
          "of those of the items that share their features",
          "kept|features"};
}

void serve_cold_items(Context& ctx, Communicator& comm, const Options& given,
                      const Dataset& dataset, LoadedModel& loaded) {
  if (given.text("cold-items") == "kept") return;
  if (std::ranges::none_of(loaded.parameters.parameters(), &Parameter::by_item)) {
    if (comm.rank() == 0)
      warn(fmt::format("{}: it has no vectors of items; --cold-items={} changes nothing",
                       loaded.origin, given.text("cold-items")));
    return;
  }
  const Protocol protocol(dataset, protocol_options_from(loaded.options));
  const ColdItems items = give_vectors_by_features(ctx, comm, loaded.parameters, protocol);
  if (comm.rank() == 0)
    warn(fmt::format("{}: {} of {} items have no training events; {} got vectors by their features",
                     loaded.origin, items.cold, dataset.items(), items.given));
}

std::map<std::string, std::string> use_settings(const Options& given) {
  std::map<std::string, std::string> settings;
  for (const OptionSpec& spec : evaluate_options())
    if (given.has(spec.key)) settings[spec.key] = given.text(spec.key);
  for (const OptionSpec& spec : options_of_named_model(given))
    if (given.has(spec.key)) settings[spec.key] = given.text(spec.key);
  return settings;
}

}  // namespace seqrank
