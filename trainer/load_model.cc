// From a checkpoint, or from counting.
#include "trainer/load_model.h"

#include "trainer/checkpoint.h"
#include "trainer/evaluate.h"
#include "trainer/run_folder.h"

namespace seqrank {
namespace {

void make(LoadedModel& loaded, const std::string& name, const Dataset& dataset) {
  loaded.model = find_model(name).make({loaded.options, dataset.items(), loaded.parameters});
}

void load_run(Context& ctx, Communicator& comm, const std::string& run, const Dataset& dataset,
              LoadedModel& loaded) {
  CheckpointStore checkpoints(RunFolder(run).checkpoints(), comm);
  const auto state = checkpoints.best_good();
  SR_CHECK(state, ErrorKind::checkpoint,
           "--run {}: no good checkpoint in it; `seqrank train --run {}` makes one", run, run);
  const std::string& name = state->config.at("model.name");
  loaded.options.declare(model_options(name));
  const std::vector<OptionSpec> specs = loaded.options.specs();
  for (const OptionSpec& spec : specs) {
    const auto saved = state->config.find(spec.key);
    if (saved != state->config.end()) loaded.options.set(spec.key, saved->second, run);
  }
  make(loaded, name, dataset);
  std::vector<TensorTotal> totals;
  for (const Parameter& p : loaded.parameters.parameters())
    totals.push_back({p.name + "/weight", p.shape.numel()});
  // Another data set is allowed, for instance with newer events; another catalogue is not.
  TrainingState now = *state;
  const auto differences = checkpoints.differences(state->step, totals, now, {});
  for (const Difference& d : differences)
    SR_CHECK(d.now == "-", ErrorKind::checkpoint,
             "--run {}: {} has {} values there and {} here; was {} the data it was trained on?",
             run, d.what, d.saved, d.now, dataset.path());
  loaded.parameters.allocate(ctx, state->seed);
  std::vector<TensorPiece> pieces;
  for (Parameter& p : loaded.parameters.parameters()) {
    const std::int64_t total = p.shape.numel();
    pieces.push_back({p.name + "/weight", 0, total, total, p.value.reshape({total})});
  }
  checkpoints.load(state->step, pieces);
  loaded.origin = fmt::format("{} at step {}", run, state->step);
}

}  // namespace

std::unique_ptr<LoadedModel> load_model(Context& ctx, Communicator& comm, const std::string& run,
                                        const std::string& name, const Dataset& dataset) {
  auto loaded = std::make_unique<LoadedModel>();
  loaded->options.declare(evaluate_options());
  if (!run.empty()) {
    load_run(ctx, comm, run, dataset, *loaded);
    return loaded;
  }
  loaded->options.declare(model_options(name));
  make(*loaded, name, dataset);
  auto* counting = dynamic_cast<CountingModel*>(loaded->model.get());
  SR_CHECK(counting != nullptr, ErrorKind::usage,
           "--model.name={}: must be trained first; give the --run folder of its training", name);
  fit_counts(ctx, *counting, dataset, loaded->options.integer("data.max_length"));
  loaded->origin = name + ", counted";
  return loaded;
}

}  // namespace seqrank
