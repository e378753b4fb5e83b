// How a training run begins: from its newest good checkpoint, or anew.
#include <filesystem>

#include "trainer/catalogue.h"
#include "trainer/host_pieces.h"
#include "trainer/init_from.h"
#include "trainer/training_run.h"

namespace seqrank {
namespace {

// What a resumed run may change without becoming another run.
bool free_to_change(const std::string& key) {
  static const char* const kFree[] = {"run",
                                      "data",
                                      "train.steps",
                                      "train.epochs",
                                      "train.log_every",
                                      "train.save_every",
                                      "train.keep",
                                      "train.stop_at_step",
                                      "train.tensorboard",
                                      "train.patience",
                                      "train.on_save_failure",
                                      "train.fault",
                                      "table.split",
                                      "table.group",
                                      "table.tier",
                                      "table.folder",
                                      "table.cache",
                                      "train.bucket_bytes",
                                      "train.overlap"};
  for (const char* free : kFree)
    if (key == free) return true;
  return false;
}

}  // namespace

void TrainingRun::resume() {
  const auto saved = checkpoints_.newest_good();
  // What the version that saved did not know of yet was as its default says.
  const auto is_new_default = [&](const OptionSpec& spec) {
    return !saved->config.contains(spec.key) && options_.text(spec.key) == spec.default_value;
  };
  if (saved) {
    std::vector<TensorTotal> totals = parts_.saved;
    for (const TensorPiece& piece : parts_.carried) totals.push_back({piece.name, piece.total});
    std::vector<std::string> keys;
    for (const OptionSpec& spec : options_.specs())
      if (!free_to_change(spec.key) && !is_new_default(spec)) keys.push_back(spec.key);
    const auto differences = checkpoints_.differences(saved->step, totals, state_, keys);
    SR_CHECK(differences.empty(), ErrorKind::checkpoint,
             "{}: its checkpoint is of another run; give another --run, or the same options: {}",
             options_.text("run"), difference_text(differences));
    load_pieces(ctx_, checkpoints_, saved->step, parts_.optimiser->pieces());
    for (DealtRows& own : parts_.optimiser->dealt_rows()) {
      TensorPiece range = empty_range(ctx_, comm_, own);
      checkpoints_.load(saved->step, std::span(&range, 1));
      deal_out(ctx_, comm_, parts_.groups, range, own);
    }
    for (Parameter& p : parts_.parameters.parameters()) p.all_made();
    if (!parts_.carried.empty()) load_pieces(ctx_, checkpoints_, saved->step, parts_.carried);
    parts_.exchange->values_restored();
    if (parts_.step->scales_loss())
      parts_.step->set_loss_scale(
          {static_cast<float>(saved->loss_scale), static_cast<float>(saved->loss_scale_good)});
    const TrainingState now = state_;
    state_ = *saved;
    state_.config = now.config;
    state_.shapes = now.shapes;
    state_.item_fingerprint = now.item_fingerprint;
    state_.columns = now.columns;
    tell(fmt::format("resuming {} at step {} of {}", options_.text("run"), state_.step,
                     parts_.total_steps));
  } else {
    start_anew();
  }
  first_step_ = absorbed_ = state_.step;
  if (comm_.rank() == 0) {
    if (!saved) folder_.write_config(options_);
    // A run that an earlier version began goes on without one.
    if (!saved || !std::filesystem::exists(folder_.catalogue_path()))
      write_catalogue(folder_.catalogue_path(), dataset_);
    const std::string lost = folder_.open_metrics(state_.metrics_bytes);
    if (!lost.empty()) tell(lost);
    if (options_.flag("train.tensorboard"))
      folder_.open_events(state_.step, [this](const std::string& line) { tell(line); });
  }
  parts_.loader.seek(state_.step);
}

// Only where nothing was ever saved whole: what a damaged disk holds is for a person to judge.
void TrainingRun::start_anew() {
  const std::int64_t published = checkpoints_.published();
  SR_CHECK(published == 0, ErrorKind::checkpoint,
           "{}: none of its {} checkpoints is good; remove the folder, or give another --run",
           options_.text("run"), published);
  if (comm_.rank() == 0 && !checkpoint_steps(folder_.checkpoints()).empty())
    tell(fmt::format("{}: no save in it was ever finished; training starts anew",
                     options_.text("run")));
  if (!options_.has("train.init_from")) return;
  for (const std::string& line :
       init_from(ctx_, comm_, options_, dataset_, state_, parts_.parameters,
                 [this](const std::string& text) { tell(text); }))
    tell(line);
}

}  // namespace seqrank
