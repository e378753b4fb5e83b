// From a checkpoint, or from counting.
#include "trainer/load_model.h"

#include "data/event_columns.h"
#include "trainer/build_model.h"
#include "trainer/checkpoint.h"
#include "trainer/dealt_rows.h"
#include "trainer/evaluate.h"
#include "trainer/host_pieces.h"
#include "trainer/row_tables.h"
#include "trainer/run_folder.h"

namespace seqrank {
namespace {

// Another data set is allowed, for instance with newer events; one that numbers its items
// otherwise, or the values of columns that the model reads, is not. Without keys on both sides only
// the same data tells that.
void check_catalogue(const std::string& run, const Dataset& dataset, const BatchNeeds& needs,
                     const TrainingState& saved, CheckpointStore& checkpoints,
                     std::span<const TensorTotal> weights) {
  TrainingState now = saved;
  now.item_fingerprint = dataset.item_fingerprint();
  now.columns = column_fingerprints(dataset, needs);
  if (saved.item_fingerprint == "none" || now.item_fingerprint == "none")
    now.dataset_fingerprint = dataset.fingerprint();
  auto differences = checkpoints.differences(saved.step, weights, now, {});
  // The optimiser's tensors, which using a model needs not.
  std::erase_if(differences,
                [](const Difference& d) { return d.of == Difference::Of::tensor && d.now == "-"; });
  SR_CHECK(differences.empty(), ErrorKind::checkpoint,
           "--run {}: it was trained on another catalogue than that of {}: {}", run, dataset.path(),
           difference_text(differences));
}

// Each rank reads what it owns, and has the rest of its rows from those that hold the same.
void load_split(Context& ctx, const Communicators& ranks, CheckpointStore& checkpoints,
                std::int64_t step, LoadedModel& loaded) {
  for (const Parameter& p : loaded.parameters.parameters()) {
    if (p.split.ranks == 1) continue;
    const auto own = RowOwners(loaded.groups, p.shape[0], ranks.rank(), ranks.size()).own();
    DealtRows rows{p.name + "/weight", p.shape[0], p.local_value().rows(own.begin, own.end)};
    TensorPiece range = empty_range(ctx, ranks.host, rows);
    checkpoints.load(step, std::span(&range, 1));
    deal_out(ctx, ranks.host, loaded.groups, range, rows);
  }
  loaded.exchange->values_restored();
  loaded.exchange->settle();
}

// As the run was trained, and where tables lie as `settings` say; on a CPU in its memory, where a
// GPU trained them in the host's.
void take_options(const Context& ctx, const std::string& run, const TrainingState& state,
                  const std::map<std::string, std::string>& settings, Options& options) {
  options.declare(model_options(state.config.at("model.name")));
  const std::vector<OptionSpec> specs = options.specs();
  for (const OptionSpec& spec : specs) {
    const auto saved = state.config.find(spec.key);
    if (saved != state.config.end()) options.set(spec.key, saved->second, run);
  }
  if (ctx.device() == Device::cpu && options.text("table.tier") == "host")
    options.set("table.tier", "memory", run);
  for (const char* key :
       {"table.split", "table.group", "table.tier", "table.folder", "table.cache"})
    if (settings.contains(key)) options.set(key, settings.at(key), "command line");
}

void load_run(Context& ctx, const Communicators& ranks, const std::string& run,
              const Dataset& dataset, const std::map<std::string, std::string>& settings,
              const std::function<void(const std::string&)>& report, LoadedModel& loaded) {
  CheckpointOptions checkpoint_options;
  checkpoint_options.report = [&](const std::string& line) { report(run + ": " + line); };
  CheckpointStore checkpoints(RunFolder(run).checkpoints(), ranks.host, checkpoint_options);
  const auto state = checkpoints.best_good();
  SR_CHECK(state, ErrorKind::checkpoint,
           "--run {}: no good checkpoint in it; `seqrank train --run {}` makes one", run, run);
  const std::string& name = state->config.at("model.name");
  take_options(ctx, run, *state, settings, loaded.options);
  loaded.model = build_model(name, loaded.options, dataset, loaded.parameters);
  std::vector<TensorTotal> totals;
  for (const Parameter& p : loaded.parameters.parameters())
    totals.push_back({p.name + "/weight", p.shape.numel()});
  check_catalogue(run, dataset, loaded.model->needs(), *state, checkpoints, totals);
  loaded.groups = table_groups(loaded.options, ranks, loaded.parameters);
  const bool split = loaded.groups.size() > 1;
  if (!loaded.options.has("table.folder")) loaded.options.set("table.folder", run, run);
  const std::string& tier = loaded.options.text("table.tier");
  bool by_rows = false;
  for (Parameter& p : loaded.parameters.parameters()) {
    p.apart = tier != "memory" && p.access == Access::rows && p.may_split;
    by_rows |= p.apart;
  }
  SR_CHECK(tier == "memory" || by_rows, ErrorKind::usage,
           "{}: --table.tier={} is for tables that are read by rows alone, as under losses with "
           "drawn negatives; this model has none",
           run, tier);
  const auto memory =
      row_table_memory(ctx, ranks.host, loaded.options, loaded.parameters, loaded.groups, {});
  const bool on_host = memory && memory->place == TableMemory::Place::host;
  loaded.parameters.allocate_to_load(ctx, split || on_host ? ranks.size() : 1,
                                     loaded.groups.split(), memory.get());
  std::vector<TensorPiece> pieces;
  for (Parameter& p : loaded.parameters.parameters()) {
    if (p.split.ranks > 1) continue;
    const std::int64_t total = p.shape.numel();
    pieces.push_back({p.name + "/weight", 0, total, total, p.local_value().reshape({total})});
    if (p.on_host()) pieces.back().write = write_by_blocks(ctx, pieces.back().data);
  }
  load_pieces(ctx, checkpoints, state->step, pieces);
  if (split || on_host)
    loaded.exchange = std::make_unique<GradientExchange>(ctx, loaded.parameters, ranks,
                                                         ExchangeOptions(), loaded.groups);
  if (split) load_split(ctx, ranks, checkpoints, state->step, loaded);
  loaded.origin = fmt::format("{} at step {}", run, state->step);
}

// What decides which events are trained on, for people and to compare.
std::string split_of(const Options& options) {
  std::string text = options.text("data.protocol");
  if (text != "temporal") return text;
  for (const char* key :
       {"data.validation_from", "data.test_from", "data.validation_share", "data.test_share"})
    if (options.has(key)) text += fmt::format(" {}={}", key, options.text(key));
  return text;
}

}  // namespace

Tensor item_vectors(const LoadedModel& loaded) {
  for (const char* name : {"items_out", "items"})  // of an ItemTable that is not tied, or is
    for (const Parameter& p : loaded.parameters.parameters())
      if (p.name == name) return p.value();
  return {};
}

std::unique_ptr<LoadedModel> load_model(Context& ctx, const Communicators& ranks,
                                        const std::string& run, const std::string& name,
                                        const Dataset& dataset,
                                        const std::map<std::string, std::string>& settings,
                                        const std::function<void(const std::string&)>& report) {
  auto loaded = std::make_unique<LoadedModel>();
  loaded->options.declare(evaluate_options());
  const auto apply = [&] {
    for (const auto& [key, value] : settings) loaded->options.set(key, value, "command line");
  };
  if (!run.empty()) {
    load_run(ctx, ranks, run, dataset, settings, report, *loaded);
    const std::string trained = split_of(loaded->options);
    apply();  // once it is made: its tables are as long as in training
    if (ranks.rank() == 0 && split_of(loaded->options) != trained)
      report(
          fmt::format("{}: trained under protocol {}, asked under {}: what it is asked may have "
                      "been trained on",
                      run, trained, split_of(loaded->options)));
    return loaded;
  }
  loaded->options.declare(model_options(name));
  apply();
  loaded->model = build_model(name, loaded->options, dataset, loaded->parameters);
  auto* counting = dynamic_cast<CountingModel*>(loaded->model.get());
  SR_CHECK(counting != nullptr, ErrorKind::usage,
           "--model.name={}: must be trained first; give the --run folder of its training", name);
  fit_counts(*counting, Protocol(dataset, protocol_options_from(loaded->options)),
             loaded->options.integer("data.max_length"));
  loaded->origin = name + ", counted";
  return loaded;
}

}  // namespace seqrank
