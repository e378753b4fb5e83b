// What happens between training steps: logging, evaluation, saving, stopping, resuming.
#include "trainer/train.h"

#include <cmath>
#include <optional>

#include "backend/device_facts.h"
#include "data/event_columns.h"
#include "trainer/host_pieces.h"
#include "trainer/training_run.h"

namespace seqrank {
namespace {

// Steps after which a save begun in the background is waited for and published: the same on every
// rank, since publishing is collective.
constexpr std::int64_t kPublishAfter = 20;

std::map<std::string, std::string> as_map(const Options& options) {
  std::map<std::string, std::string> values;
  for (const OptionSpec& spec : options.specs())
    if (options.has(spec.key)) values[spec.key] = options.text(spec.key);
  return values;
}

FaultPlan fault_plan(const Options& options) {
  return options.has("train.fault") ? FaultPlan::parse(options.text("train.fault")) : FaultPlan();
}

CheckpointOptions checkpoint_options(const Options& options,
                                     std::function<void(const std::string&)> report) {
  CheckpointOptions result;
  result.keep_last = static_cast<int>(options.integer("train.keep"));
  result.on_failure =
      options.text("train.on_save_failure") == "stop" ? SaveFailure::stop : SaveFailure::warn;
  result.report = std::move(report);
  result.faults = fault_plan(options);
  return result;
}

}  // namespace

TrainingRun::TrainingRun(Context& ctx, const Communicators& ranks, const Dataset& dataset,
                         const Options& options, const TrainObserver& observer,
                         const StopSource& stop)
    : ctx_(ctx),
      comm_(ranks.host),
      options_(options),
      observer_(observer),
      stop_(stop),
      dataset_(dataset),
      parts_(ctx, ranks, dataset_, options),
      folder_(options.text("run")),
      faults_(fault_plan(options)),
      checkpoints_(folder_.checkpoints(), ranks.host,
                   checkpoint_options(options, [this](const std::string& line) { tell(line); })) {
  state_.seed = static_cast<std::uint64_t>(options.integer("train.seed"));
  state_.dataset_fingerprint = dataset_.fingerprint();
  state_.item_fingerprint = dataset_.item_fingerprint();
  state_.columns = column_fingerprints(dataset_, parts_.model->needs());
  state_.config = as_map(options);
  for (const Parameter& p : parts_.parameters.parameters()) state_.shapes[p.name] = p.shape.str();
  seen_.steps = parts_.total_steps;
  seen_.epochs = options.integer("train.steps") > 0 ? 0 : options.integer("train.epochs");
}

TrainResult TrainingRun::run() {
  SR_CHECK(options_.integer("train.evaluate_every") == 0 ||
               Questions(parts_.protocol, Split::validation).count() > 0,
           ErrorKind::data,
           "{}: no sequence has a validation target under protocol {} (p1: 3 events or more); "
           "--train.evaluate_every=0 trains without evaluations",
           dataset_.path(), protocol_name(parts_.protocol.kind()));
  if (options_.integer("train.evaluate_every") > 0)
    check_can_answer(*parts_.model, parts_.protocol.kind());
  if (options_.integer("train.evaluate_every") > 0 && parts_.exchange->splits_tables())
    check_can_answer_split(*parts_.model);
  if (comm_.rank() == 0) folder_.create_and_lock();
  comm_.barrier();
  if (!parts_.precision_note.empty()) tell(parts_.precision_note);
  resume();
  TrainResult result;
  result.outcome = train_steps();
  checkpoints_.finish_save();
  // Steps that are only warned of on the way must not be lost silently at the end.
  SR_CHECK(unsaved_ || checkpoints_.last_committed() == state_.step || first_step_ == state_.step,
           ErrorKind::checkpoint,
           "{}: step {}, the last of this run, was not saved; make room, then start it again",
           options_.text("run"), state_.step);
  // However it ended: a wish that came in the last steps is not meant for the next start.
  if (comm_.rank() == 0) folder_.withdraw_stop_file();
  result.steps = state_.step;
  result.saved_step = std::max(checkpoints_.last_committed(), first_step_);
  result.best_step = state_.best_step;
  result.best_value = state_.best_value;
  result.selection = selection_metric(parts_.protocol.kind());
  result.seconds = started_.seconds();
  result.peak_bytes = ctx_.arena().peak_bytes();
  result.checkpoint_bytes = checkpoint_bytes_;
  result.events_per_s = step_seconds_ > 0 ? static_cast<double>(events_) / step_seconds_ : 0;
  return result;
}

TrainOutcome TrainingRun::train_steps() {
  const std::int64_t log_every = options_.integer("train.log_every");
  const std::int64_t save_every = options_.integer("train.save_every");
  const std::int64_t stop_at = options_.integer("train.stop_at_step");
  faults_.at("train.start", comm_.rank());
  if (state_.evaluation_due) {  // put off when the run was stopped
    if (!evaluate_epoch()) return TrainOutcome::stopped_resumable;
    save();
  }
  while (state_.step < parts_.total_steps) {
    if (out_of_patience()) return TrainOutcome::stopped_early;
    const Stopwatch watch;
    faults_.at("train.batch", comm_.rank());
    const Batch batch = parts_.loader.next();
    const bool last_batch = state_.step + 1 == parts_.total_steps;
    const auto next = last_batch ? std::nullopt : std::optional(parts_.loader.peek());
    faults_.at("train.step", comm_.rank());
    parts_.step->run(batch, state_.step, static_cast<float>(parts_.schedule.rate(state_.step)),
                     wishes_to_stop() ? TrainStep::Wish::stop : TrainStep::Wish::go_on,
                     next ? &*next : nullptr);
    for (const std::string& note : take_device_notes(ctx_)) tell(note);
    ++state_.step;
    step_seconds_ += watch.seconds();
    events_ += batch.global_events;

    const bool last = state_.step == parts_.total_steps;
    const bool asked = stop_agreed(state_.step);
    if (state_.step % log_every == 0 || last) log_step(batch);
    show_progress();
    state_.evaluation_due = evaluation_due_at(state_.step);
    const bool evaluated = state_.evaluation_due && !asked && evaluate_epoch();
    const bool stop = asked || state_.evaluation_due || state_.step == stop_at;
    if (checkpoints_.saving() && state_.step == saved_step_ + kPublishAfter)
      checkpoints_.finish_save();
    if (evaluated || last || stop || (save_every > 0 && state_.step % save_every == 0)) save();
    if (stop && (!last || state_.evaluation_due)) return TrainOutcome::stopped_resumable;
  }
  return TrainOutcome::finished;
}

bool TrainingRun::evaluation_due_at(std::int64_t step) const {
  const std::int64_t every =
      options_.integer("train.evaluate_every") * parts_.loader.steps_per_epoch();
  return every > 0 && (step % every == 0 || step == parts_.total_steps);
}

// Of this rank. The file is looked for by rank 0 alone: a slow file system is asked once.
bool TrainingRun::wishes_to_stop() const {
  return stop_.asked() || stop_.seconds_left() <= std::max(stop_.margin, 2 * save_seconds()) ||
         (comm_.rank() == 0 && folder_.stop_file());
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
    seen_.loss = summary.loss;
    if (std::isfinite(summary.grad_norm)) continue;
    ++state_.skipped_steps;
    // A loss scale that is too large is found out in this way, and halved.
    const bool overflow = parts_.step->scales_loss() && std::isfinite(summary.loss);
    tell(fmt::format("step {}: {}; step skipped on every rank{}", absorbed_ + 1,
                     overflow ? "gradients are too large for the loss scale, which is halved"
                              : fmt::format("loss {} and gradient norm {} are not finite",
                                            summary.loss, summary.grad_norm),
                     overflow ? "" : "; lower --train.learning_rate if it goes on"));
  }
}

std::int64_t TrainingRun::epoch() const {
  return (state_.step - 1) / parts_.loader.steps_per_epoch() + 1;
}

void TrainingRun::log_step(const Batch& batch) {
  const StepSummary summary = parts_.step->summary(state_.step - 1);
  const double seconds = step_seconds_ - logged_seconds_;
  const double events_per_s =
      seconds > 0 ? static_cast<double>(events_ - logged_events_) / seconds : 0;
  logged_seconds_ = step_seconds_;
  logged_events_ = events_;
  seen_.loss = summary.loss;
  seen_.events_per_s = events_per_s;
  if (comm_.rank() != 0) return;
  folder_.append_step({state_.step, epoch(), summary.loss, parts_.schedule.rate(state_.step - 1),
                       summary.grad_norm, batch.global_events, events_per_s, started_.seconds()});
}

// After every step: whoever watches decides how often to look.
void TrainingRun::show_progress() {
  const bool loss_is_known = absorbed_ > first_step_ || logged_events_ > 0;
  if (comm_.rank() != 0 || !observer_.progress || !loss_is_known) return;
  if (logged_events_ == 0) seen_.events_per_s = static_cast<double>(events_) / step_seconds_;
  seen_.step = state_.step;
  seen_.epoch = epoch();
  observer_.progress(seen_);
}

// False where a stop was wished for before it was done; it stays due, and nothing has changed.
bool TrainingRun::evaluate_epoch() {
  faults_.at("train.evaluate", comm_.rank());
  parts_.exchange->settle();
  const auto result = evaluate_unless(
      ctx_, comm_, *parts_.model, parts_.protocol,
      evaluate_options_from(options_, Split::validation), [this] { return wishes_to_stop(); },
      parts_.exchange.get());
  if (!result) return false;
  const Evaluation& evaluation = *result;
  state_.evaluation_due = false;
  const double value = evaluation.metrics.at(evaluation.selection);
  if (value > state_.best_value) {
    state_.best_value = value;
    state_.best_step = state_.step;
    state_.evaluations_without_gain = 0;
  } else {
    ++state_.evaluations_without_gain;
  }
  if (comm_.rank() == 0)
    folder_.append_evaluation(state_.step, evaluation.split, evaluation.metrics);
  const std::string other = evaluation.rank_Q.empty() ? "log_loss" : "hr@10";
  tell(fmt::format("step {}: validation {} {:.4f}, {} {:.4f} (best {:.4f} at step {})", state_.step,
                   metric_title(evaluation.selection), value, metric_title(other),
                   evaluation.metrics.at(other), state_.best_value, state_.best_step));
  return true;
}

bool TrainingRun::out_of_patience() const {
  const std::int64_t patience = options_.integer("train.patience");
  return patience > 0 && state_.evaluations_without_gain >= patience;
}

// What a save takes: as measured, else by a slow disk's rate.
double TrainingRun::save_seconds() const {
  constexpr double kBytesPerSecond = 50e6;
  double bytes = 0;
  for (const TensorTotal& tensor : parts_.saved)
    bytes += sizeof(float) * static_cast<double>(tensor.total);
  const double measured = checkpoints_.longest_save_seconds();
  return measured > 0 ? measured : bytes / kBytesPerSecond;
}

// Whether the job ends, by the clock of some rank, before a save could: then none is begun.
bool TrainingRun::late_to_save() {
  const double left = stop_.seconds_left(), needed = save_seconds();
  unsaved_ = comm_.all_reduce_value(std::int64_t{left < needed}, Reduce::max) > 0;
  if (unsaved_)
    tell(fmt::format("step {} is not saved: {:.0f} s are left and a save takes about {:.0f} s",
                     state_.step, std::max(0.0, left), std::ceil(needed)));
  return unsaved_;
}

void TrainingRun::save() {
  absorb(state_.step);
  if (late_to_save()) return;
  const TrainStep::LossScaleState loss_scale = parts_.step->loss_scale();
  state_.loss_scale = loss_scale.scale;
  state_.loss_scale_good = static_cast<std::int64_t>(loss_scale.good_steps);
  if (comm_.rank() == 0) {
    folder_.sync_metrics();
    state_.metrics_bytes = folder_.metrics_bytes();
  }
  checkpoints_.finish_save();  // what it still writes is let go before as much is gathered again
  auto pieces = parts_.optimiser->pieces();
  pieces.insert(pieces.end(), parts_.carried.begin(), parts_.carried.end());
  pieces = to_host(ctx_, pieces);
  for (const DealtRows& own : parts_.optimiser->dealt_rows())
    pieces.push_back(range_of(ctx_, comm_, parts_.groups, own));
  checkpoint_bytes_ = save_bytes(ctx_, pieces);
  checkpoints_.begin_save(state_, pieces);
  saved_step_ = state_.step;
}

void TrainingRun::tell(const std::string& line) const {
  if (comm_.rank() != 0) return;
  folder_.log(line);
  if (observer_.message) observer_.message(line);
}

TrainResult train(Context& ctx, const Communicators& ranks, const Dataset& dataset,
                  const Options& options, const TrainObserver& observer, const StopSource& stop) {
  return TrainingRun(ctx, ranks, dataset, options, observer, stop).run();
}

}  // namespace seqrank
