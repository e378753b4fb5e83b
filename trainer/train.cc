// What happens between training steps: logging, evaluation, saving, stopping, resuming.
#include "trainer/train.h"

#include <cmath>

#include "trainer/training_run.h"

namespace seqrank {
namespace {

// Steps after which a save begun in the background is waited for and published: the same on every
// rank, since publishing is collective.
constexpr std::int64_t kPublishAfter = 20;

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
                                      "train.bucket_bytes",
                                      "train.overlap"};
  for (const char* free : kFree)
    if (key == free) return true;
  return false;
}

std::map<std::string, std::string> as_map(const Options& options) {
  std::map<std::string, std::string> values;
  for (const OptionSpec& spec : options.specs())
    if (options.has(spec.key)) values[spec.key] = options.text(spec.key);
  return values;
}

CheckpointOptions checkpoint_options(const Options& options,
                                     std::function<void(const std::string&)> report) {
  CheckpointOptions result;
  result.keep_last = static_cast<int>(options.integer("train.keep"));
  result.on_failure =
      options.text("train.on_save_failure") == "stop" ? SaveFailure::stop : SaveFailure::warn;
  result.report = std::move(report);
  if (options.has("train.fault")) result.faults = FaultPlan::parse(options.text("train.fault"));
  return result;
}

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

TrainingRun::TrainingRun(Context& ctx, Communicator& comm, const Dataset& dataset,
                         const Options& options, const TrainObserver& observer,
                         const std::function<bool()>& stop_requested)
    : ctx_(ctx),
      comm_(comm),
      options_(options),
      observer_(observer),
      stop_requested_(stop_requested),
      dataset_(dataset),
      parts_(ctx, comm, dataset_, options),
      folder_(options.text("run")),
      checkpoints_(folder_.checkpoints(), comm,
                   checkpoint_options(options, [this](const std::string& line) { tell(line); })) {
  state_.seed = static_cast<std::uint64_t>(options.integer("train.seed"));
  state_.dataset_fingerprint = dataset_.fingerprint();
  state_.item_fingerprint = dataset_.item_fingerprint();
  state_.config = as_map(options);
}

void TrainingRun::resume() {
  const auto saved = checkpoints_.newest_good();
  if (saved) {
    std::vector<TensorTotal> totals;
    for (const Parameter& p : parts_.parameters.parameters())
      for (const char* part : {"/weight", "/m", "/v"})
        totals.push_back({p.name + part, p.shape.numel()});
    std::vector<std::string> keys;
    for (const OptionSpec& spec : options_.specs())
      if (!free_to_change(spec.key)) keys.push_back(spec.key);
    const auto differences = checkpoints_.differences(saved->step, totals, state_, keys);
    SR_CHECK(differences.empty(), ErrorKind::checkpoint,
             "{}: its checkpoint is of another run; give another --run, or the same options: {}",
             options_.text("run"), difference_text(differences));
    auto pieces = parts_.optimiser->pieces();
    checkpoints_.load(saved->step, pieces);
    parts_.exchange->gather_values(ctx_);
    const TrainingState now = state_;
    state_ = *saved;
    state_.config = now.config;
    state_.item_fingerprint = now.item_fingerprint;
    tell(fmt::format("resuming {} at step {} of {}", options_.text("run"), state_.step,
                     parts_.total_steps));
  } else {
    start_anew();
  }
  first_step_ = absorbed_ = state_.step;
  if (comm_.rank() == 0) {
    if (!saved) folder_.write_config(options_);
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
}

TrainResult TrainingRun::run() {
  SR_CHECK(options_.integer("train.evaluate_every") == 0 || has_targets(dataset_), ErrorKind::data,
           "{}: no sequence has the 3 events that a validation target needs; "
           "--train.evaluate_every=0 trains without evaluations",
           dataset_.path());
  if (comm_.rank() == 0) folder_.create();
  comm_.barrier();
  resume();
  TrainResult result;
  result.outcome = train_steps();
  checkpoints_.finish_save();
  // Steps that are only warned of on the way must not be lost silently at the end.
  SR_CHECK(checkpoints_.last_committed() == state_.step || first_step_ == state_.step,
           ErrorKind::checkpoint,
           "{}: step {}, the last of this run, was not saved; make room, then start it again",
           options_.text("run"), state_.step);
  // However it ended: a wish that came in the last steps is not meant for the next start.
  if (comm_.rank() == 0) folder_.withdraw_stop_file();
  result.steps = state_.step;
  result.best_step = state_.best_step;
  result.best_value = state_.best_value;
  result.seconds = seconds_since(started_);
  result.events_per_s = step_seconds_ > 0 ? static_cast<double>(events_) / step_seconds_ : 0;
  return result;
}

TrainOutcome TrainingRun::train_steps() {
  const std::int64_t log_every = options_.integer("train.log_every");
  const std::int64_t save_every = options_.integer("train.save_every");
  const std::int64_t stop_at = options_.integer("train.stop_at_step");
  const std::int64_t evaluate_steps =
      options_.integer("train.evaluate_every") * parts_.loader.steps_per_epoch();
  while (state_.step < parts_.total_steps) {
    if (out_of_patience()) return TrainOutcome::stopped_early;
    const auto begin = std::chrono::steady_clock::now();
    const Batch batch = parts_.loader.next();
    const bool wish = stop_requested_() || (comm_.rank() == 0 && folder_.stop_file());
    parts_.step->run(batch, state_.step, static_cast<float>(parts_.schedule.rate(state_.step)),
                     wish ? TrainStep::Wish::stop : TrainStep::Wish::go_on);
    ++state_.step;
    step_seconds_ += seconds_since(begin);
    events_ += batch.global_events;

    const bool last = state_.step == parts_.total_steps;
    const bool evaluation = evaluate_steps > 0 && (state_.step % evaluate_steps == 0 || last);
    const bool stop = stop_agreed(state_.step) || state_.step == stop_at;
    if (state_.step % log_every == 0 || last) log_step(batch);
    if (evaluation) evaluate_epoch();
    if (checkpoints_.saving() && state_.step == saved_step_ + kPublishAfter)
      checkpoints_.finish_save();
    if (evaluation || last || stop || (save_every > 0 && state_.step % save_every == 0)) save();
    if (stop && !last) return TrainOutcome::stopped_resumable;
  }
  return TrainOutcome::finished;
}

// Looks at summaries two steps old, which are there without waiting.
bool TrainingRun::stop_agreed(std::int64_t step) {
  absorb(step - TrainStep::kKept + 1);
  return stop_seen_;
}

// Takes note of all steps before `step`.
void TrainingRun::absorb(std::int64_t step) {
  for (; absorbed_ < step; ++absorbed_) {
    const StepSummary summary = parts_.step->summary(absorbed_);
    stop_seen_ = stop_seen_ || summary.stop;
    if (std::isfinite(summary.grad_norm)) continue;
    ++state_.skipped_steps;
    tell(
        fmt::format("step {}: loss {} and gradient norm {} are not finite; step skipped on every "
                    "rank; lower --train.learning_rate if it goes on",
                    absorbed_ + 1, summary.loss, summary.grad_norm));
  }
}

void TrainingRun::log_step(const Batch& batch) {
  const StepSummary summary = parts_.step->summary(state_.step - 1);
  const double seconds = step_seconds_ - logged_seconds_;
  const double events_per_s =
      seconds > 0 ? static_cast<double>(events_ - logged_events_) / seconds : 0;
  logged_seconds_ = step_seconds_;
  logged_events_ = events_;
  if (comm_.rank() != 0) return;
  const std::int64_t epoch = (state_.step - 1) / parts_.loader.steps_per_epoch() + 1;
  folder_.append_step({state_.step, epoch, summary.loss, parts_.schedule.rate(state_.step - 1),
                       summary.grad_norm, batch.global_events, events_per_s,
                       seconds_since(started_)});
  if (!observer_.progress) return;
  const std::int64_t epochs =
      options_.integer("train.steps") > 0 ? 0 : options_.integer("train.epochs");
  const double seconds_left = step_seconds_ / static_cast<double>(state_.step - first_step_) *
                              static_cast<double>(parts_.total_steps - state_.step);
  observer_.progress(
      {state_.step, parts_.total_steps, epoch, epochs, summary.loss, events_per_s, seconds_left});
}

void TrainingRun::evaluate_epoch() {
  const Evaluation evaluation = evaluate(ctx_, comm_, *parts_.model, dataset_,
                                         evaluate_options_from(options_, Split::validation));
  const double value = evaluation.metrics.at("ndcg@10");
  if (value > state_.best_value) {
    state_.best_value = value;
    state_.best_step = state_.step;
    state_.evaluations_without_gain = 0;
  } else {
    ++state_.evaluations_without_gain;
  }
  if (comm_.rank() == 0)
    folder_.append_evaluation(state_.step, evaluation.split, evaluation.metrics);
  tell(fmt::format("step {}: validation NDCG@10 {:.4f}, HR@10 {:.4f} (best {:.4f} at step {})",
                   state_.step, value, evaluation.metrics.at("hr@10"), state_.best_value,
                   state_.best_step));
}

bool TrainingRun::out_of_patience() const {
  const std::int64_t patience = options_.integer("train.patience");
  return patience > 0 && state_.evaluations_without_gain >= patience;
}

void TrainingRun::save() {
  absorb(state_.step);
  if (comm_.rank() == 0) {
    folder_.sync_metrics();
    state_.metrics_bytes = folder_.metrics_bytes();
  }
  const auto pieces = parts_.optimiser->pieces();
  checkpoints_.begin_save(state_, pieces);
  saved_step_ = state_.step;
}

void TrainingRun::tell(const std::string& line) const {
  if (comm_.rank() != 0) return;
  folder_.log(line);
  if (observer_.message) observer_.message(line);
}

TrainResult train(Context& ctx, Communicator& comm, const Dataset& dataset, const Options& options,
                  const TrainObserver& observer, const std::function<bool()>& stop_requested) {
  return TrainingRun(ctx, comm, dataset, options, observer, stop_requested).run();
}

}  // namespace seqrank
