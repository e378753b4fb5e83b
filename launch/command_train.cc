// seqrank train: options -> a training run, watched on standard error. Resumes by itself; ends with
// 75 when it was asked to stop and can go on later.
#include <memory>
#include <nlohmann/json.hpp>

#include "backend/check.h"
#include "collective/communicator.h"
#include "data/dataset.h"
#include "launch/command.h"
#include "launch/doctor/report.h"
#include "launch/memory_size.h"
#include "launch/model_choice.h"
#include "launch/output.h"
#include "launch/progress.h"
#include "launch/rank_device.h"
#include "launch/report.h"
#include "launch/stop_request.h"
#include "launch/table.h"
#include "launch/train_call.h"
#include "launch/train_plan.h"
#include "trainer/train.h"

namespace seqrank {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kStoppedResumable = 75;

// Bar and lines of rank 0; the trainer calls it on no other rank.
class Watcher {
 public:
  TrainObserver observer() {
    TrainObserver observer;
    observer.progress = [this](const TrainObserver::Progress& now) {
      if (bar_ == nullptr) bar_ = std::make_unique<Progress>("training", "steps", now.steps);
      bar_->update(now.step, [&now] {
        std::vector<std::string> notes = {
            fmt::format("loss {:.4f}", now.loss),
            fmt::format("{} events/s", with_commas(static_cast<std::int64_t>(now.events_per_s)))};
        if (now.epochs > 0) notes.push_back(fmt::format("epoch {} of {}", now.epoch, now.epochs));
        return notes;
      });
    };
    observer.message = [this](const std::string& line) {
      if (bar_ != nullptr) {
        bar_->say(line);
      } else {
        std::fputs((line + "\n").c_str(), stderr);
      }
    };
    return observer;
  }

 private:
  std::unique_ptr<Progress> bar_;
};

std::string outcome_words(const TrainResult& result, const std::string& run) {
  switch (result.outcome) {
    case TrainOutcome::finished:
      return fmt::format("finished at step {}", result.steps);
    case TrainOutcome::stopped_early:
      return fmt::format("stopped early at step {}: validation got no better", result.steps);
    case TrainOutcome::stopped_resumable:
      if (result.saved_step < result.steps)
        return fmt::format("stopped at step {}, not saved; the same command resumes {} at step {}",
                           result.steps, run, result.saved_step);
      return fmt::format("stopped at step {}, saved; the same command resumes {}", result.steps,
                         run);
  }
  return "";
}

std::string result_json(const TrainResult& result, int ranks) {
  const char* outcomes[] = {"finished", "stopped_early", "stopped_resumable"};
  const Json json = {{"outcome", outcomes[static_cast<int>(result.outcome)]},
                     {"steps", result.steps},
                     {"saved_step", result.saved_step},
                     {"best_step", result.best_step},
                     {"best_" + result.selection, result.best_value},
                     {"seconds", result.seconds},
                     {"events_per_s", result.events_per_s},
                     {"ranks", ranks},
                     {"peak_bytes", json_of(result.peak_bytes)},
                     {"checkpoint_bytes", result.checkpoint_bytes}};
  return json.dump(2) + "\n";
}

void check_given(const Options& given) {
  for (const char* key : {"run", "data"}) {
    SR_CHECK(given.has(key), ErrorKind::usage, "train: --{} is missing", key);
  }
}

void dry_run(const Options& given) {
  check_given(given);
  const Dataset dataset = Dataset::open(given.text("data"));
  print_out(fmt::format("would train {} on {} ({} sequences, {} items, {} events) into {}\n",
                        given.text("model.name"), dataset.path(), with_commas(dataset.sequences()),
                        with_commas(dataset.items()), with_commas(dataset.events()),
                        given.text("run")));
  tell_memory_plan(given, dataset);
}

int run(const Options& given, Communicator& comm) {
  check_given(given);
  SR_CHECK(given.integer("ranks") == 1, ErrorKind::usage,
           "--ranks={0} tells a --dry-run of how many ranks; `mpirun -np {0} seqrank train ...` "
           "starts them",
           given.integer("ranks"));
  const Options run_options = options_of_run(given);
  const Checkup checkup = check_up(comm, "train", run_options, given, Depth::brief);
  const int code = tell_findings(checkup, comm);
  if (code != 0) return code;
  RankDevice device(comm, given, checkup.threads);
  check_memory(given, *checkup.dataset, comm, device.ctx());
  const StopSource stop = stop_source(given);
  TrainResult result;
  {
    Watcher watcher;  // ends its bar before the result is printed
    const TrainObserver observer = watcher.observer();
    result = train(device.ctx(), device.ranks(), *checkup.dataset, run_options, observer, stop);
  }
  if (comm.rank() == 0) {
    const std::string best =
        result.best_step < 0
            ? ""
            : fmt::format("; best validation {} {:.4f} at step {}", metric_title(result.selection),
                          result.best_value, result.best_step);
    print_out(fmt::format("{}{}; {:.1f} s, {} events/s on {} rank{}\n",
                          outcome_words(result, given.text("run")), best, result.seconds,
                          with_commas(static_cast<std::int64_t>(result.events_per_s)), comm.size(),
                          comm.size() == 1 ? "" : "s"));
    if (given.has("json")) write_file(given.text("json"), result_json(result, comm.size()));
  }
  return result.outcome == TrainOutcome::stopped_resumable ? kStoppedResumable : 0;
}

}  // namespace

Command train_command() {
  Command command;
  command.name = "train";
  command.summary = "trains a model; resumes by itself from the run folder";
  command.examples = {
      "mpirun -np 4 seqrank train --config=launch/configs/ml-1m_attention_rnn.ini --data=ml-1m.h5 "
      "--run=runs/a --model.width=128"};
  command.options = train_call_options();
  command.more_options = options_of_named_model;
  command.ranks = Ranks::several;
  command.stops = Stops::polled;
  command.dry_run = dry_run;
  command.run = run;
  return command;
}

}  // namespace seqrank
