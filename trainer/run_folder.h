// The folder of one run: config.ini (the options it was started with), items.h5 (its items' keys),
// metrics.jsonl, event files for TensorBoard, log.txt, checkpoints/, and STOP if someone asks it to
// stop. Used by rank 0, but for stop_file(). Does not decide what is logged or which options a
// resumed run may change. Errors are Error(checkpoint).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "data/file.h"
#include "models/options.h"
#include "trainer/event_file.h"

namespace seqrank {

// One line of metrics.jsonl about training.
struct StepLine {
  std::int64_t step;  // updates done
  std::int64_t epoch;
  double loss;
  double lr;
  double grad_norm;
  std::int64_t events;  // of this step, all ranks
  double events_per_s;
  double seconds;  // since this process started to train
};

class RunFolder {
 public:
  explicit RunFolder(std::string path) : path_(std::move(path)) {}
  const std::string& path() const { return path_; }
  std::string checkpoints() const { return path_ + "/checkpoints"; }
  std::string config_path() const { return path_ + "/config.ini"; }
  std::string metrics_path() const { return path_ + "/metrics.jsonl"; }
  std::string catalogue_path() const { return path_ + "/items.h5"; }
  std::string log_path() const { return path_ + "/log.txt"; }
  // One line with the time of day, after those of earlier starts. A full disk is no reason to stop.
  void log(const std::string& line) const;

  // Makes the folder and its parents where they are not there yet, and keeps other trainings out of
  // it as long as this lives: one that still ends is waited for a while, after that Error is
  // thrown. Where the file system knows no locks nobody is kept out.
  void create_and_lock();
  // config.ini, replaced as a whole; on an error nothing is left beside it.
  void write_config(const Options& options) const;
  // config.ini as "model.width" -> "64", options without a value left out.
  std::map<std::string, std::string> config() const;

  bool stop_file() const;           // someone asks for a stop
  void withdraw_stop_file() const;  // so that the next start does not stop at once

  // Opens metrics.jsonl and cuts it to `bytes`, which a checkpoint recorded (0: a new run), and a
  // torn last line with it: no step is ever there twice. Gives "", or one line to tell when it was
  // shorter than that and lines are missing.
  std::string open_metrics(std::int64_t bytes);
  // One line, whole or not at all. A full disk ends the run, other than for a checkpoint under
  // train.on_save_failure=warn: a resume is exact in its metrics as well. Not finite numbers become
  // null: JSON has none.
  void append_step(const StepLine& line);
  void append_evaluation(std::int64_t step, const std::string& split,
                         const std::map<std::string, double>& metrics);
  // From here on the lines of metrics.jsonl are in an event file as well. `step`: updates done.
  void open_events(std::int64_t step, EventFile::Report report) {
    events_.emplace(path_, step, std::move(report));
  }
  std::int64_t metrics_bytes() const { return metrics_bytes_; }
  void sync_metrics() const;  // on disk when it returns: before a checkpoint records the length

 private:
  void append(std::string line);

  std::string path_;
  File locked_log_;
  File metrics_;
  std::int64_t metrics_bytes_ = 0;
  std::optional<EventFile> events_;
};

}  // namespace seqrank
