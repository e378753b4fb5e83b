// Saves and restores training in <run>/checkpoints: a folder a step, one HDF5 shard a rank, and
// manifest.json, written last by rename. No manifest, no checkpoint. Shards are written in the
// background from a copy in host memory, unless they are too large for one; any number of ranks
// reads what any other number wrote. Does not decide when to save, and does not know models,
// optimisers or the schedule.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "collective/communicator.h"
#include "trainer/checkpoint_manifest.h"
#include "trainer/fault.h"
#include "trainer/training_state.h"

namespace seqrank {

enum class SaveFailure { warn, stop };

struct CheckpointOptions {
  int keep_last = 2;  // committed checkpoints kept, besides the best one
  SaveFailure on_failure = SaveFailure::warn;
  // One line each: what was skipped, removed, or failed, and why. Called on rank 0 alone, from
  // within the collective calls below.
  std::function<void(const std::string&)> report = [](const std::string&) {};
  FaultPlan faults = {};
};

class CheckpointStore {
 public:
  // `folder` is made by the first save. `communicator` must outlive the store.
  CheckpointStore(std::string folder, Communicator& communicator, CheckpointOptions options = {});
  // Waits for this rank's writer, for no peer. A save not finished stays without a manifest.
  ~CheckpointStore();
  CheckpointStore(const CheckpointStore&) = delete;
  CheckpointStore& operator=(const CheckpointStore&) = delete;

  // Saving. Collective; never throws for a failed save under SaveFailure::warn.
  //
  // Finishes an earlier save first (saves never overlap), copies the pieces to host memory, unless
  // they lie apart, and returns while this rank's shard is written; the caller may change the
  // tensors at once. Where a piece has a `read`, it is not copied either, and this returns when the
  // shard is written. The pieces of all ranks together must cover each tensor exactly. A step that
  // this store has already committed or restored from is not written again, but where an evaluation
  // that was due has been done since: then its manifest is. state.best_step is kept by pruning.
  void begin_save(const TrainingState& state, std::span<const TensorPiece> mine);
  // Waits for the shards, writes the manifest, prunes. All ranks agree on the outcome: a failure is
  // reported and its folder removed, and under SaveFailure::stop thrown as Error(checkpoint).
  // Nothing to do when no save was begun.
  void finish_save();
  bool saving() const { return saving_; }  // begun and not finished; the same on all ranks
  // What the longest save of this process took, from the copy to the manifest; 0 = none yet.
  double longest_save_seconds() const { return longest_save_seconds_; }
  std::int64_t last_committed() const { return last_committed_; }  // -1 = none in this process

  // Restoring. Collective; ranks share the verifying. Changes nothing on disk.
  //
  // The newest checkpoint whose manifest and shards match their sums; others are reported and
  // passed over. Throws Error(checkpoint) for a whole manifest of a newer format.
  std::optional<TrainingState> newest_good();
  // Steps whose folder has a manifest, good or not: saves that were once finished.
  std::int64_t published() const;
  // For using a model: the best step of the newest good checkpoint where it is kept and good, else
  // that newest one.
  std::optional<TrainingState> best_good();
  // Of that step. Throws Error(checkpoint) where it is not there or not good.
  TrainingState good(std::int64_t step);

  // What speaks against loading checkpoint `step` into this model; empty = nothing. Compares names
  // and sizes of tensors, the data fingerprint, the item keys' where both have keys, and the
  // configuration at `keys`. Needs no tensor.
  std::vector<Difference> differences(std::int64_t step, std::span<const TensorTotal> model,
                                      const TrainingState& now, std::span<const std::string> keys);

  // Fills each wanted piece from whichever shards hold its elements. Ranks may want anything, also
  // the same elements or nothing. Every source piece read is compared with its sum. A failure on
  // one rank is thrown on all.
  void load(std::int64_t step, std::span<TensorPiece> wanted);

 private:
  struct Pending;
  // checkpoint.cc
  std::string prepare_folder(std::int64_t step) const;
  void copy_pieces(std::span<const TensorPiece> mine);
  void write_pending() const;
  std::string commit(const std::vector<std::string>& outcomes) const;
  void publish(const Manifest& manifest) const;
  void rewrite_state(const TrainingState& state);
  void fail_save(std::int64_t step, const std::string& why) const;
  void prune() const;
  std::string find_fault(std::int64_t step) const;
  // checkpoint_restore.cc
  std::string try_select(std::int64_t step);
  void select(std::int64_t step);
  std::string verify_my_shards(const Manifest& manifest) const;

  std::string folder_;
  Communicator& communicator_;
  CheckpointOptions options_;
  bool saving_ = false;
  double longest_save_seconds_ = 0;
  std::int64_t last_committed_ = -1;
  std::vector<std::int64_t> known_bad_;  // steps that did not verify
  std::optional<Manifest> selected_;     // of the checkpoint last verified
  std::unique_ptr<Pending> pending_;     // what the writer works on; outlives it
  std::unique_ptr<Stream> writer_;
};

// Steps with a folder in `folder`, falling; with or without a manifest.
std::vector<std::int64_t> checkpoint_steps(const std::string& folder);
std::string checkpoint_path(const std::string& folder, std::int64_t step);  // .../step-00002000

}  // namespace seqrank
