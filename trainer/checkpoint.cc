// Saving and pruning; see checkpoint.h. Restoring is in checkpoint_restore.cc.
#include "trainer/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "backend/stopwatch.h"
#include "data/file.h"
#include "trainer/checkpoint_shard.h"
#include "trainer/text_file.h"

namespace seqrank {

namespace fs = std::filesystem;

// What a shard's outcome is told to rank 0 as: its record, or this and one line.
constexpr char kFailed = '!';

struct CheckpointStore::Pending {
  TrainingState state;
  std::vector<HostPiece> pieces;  // kept between saves: the same sizes again need no allocation
  std::string outcome;            // the writer's; read after `written`
  double seconds = 0;             // of copying and writing
  Event written;
};

CheckpointStore::CheckpointStore(std::string folder, Communicator& communicator,
                                 CheckpointOptions options)
    : folder_(std::move(folder)),
      communicator_(communicator),
      options_(std::move(options)),
      pending_(std::make_unique<Pending>()),
      writer_(make_worker_stream()) {
  SR_CHECK(options_.keep_last >= 1, ErrorKind::usage, "checkpoints to keep: {}, at least 1 needed",
           options_.keep_last);
}

CheckpointStore::~CheckpointStore() = default;

std::string checkpoint_path(const std::string& folder, std::int64_t step) {
  return fmt::format("{}/step-{:08d}", folder, step);
}

std::vector<std::int64_t> checkpoint_steps(const std::string& folder) {
  std::vector<std::int64_t> steps;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (!name.starts_with("step-") || name.size() > 5 + 15) continue;
    const std::string digits = name.substr(5);
    if (digits.empty() || digits.find_first_not_of("0123456789") != std::string::npos) continue;
    const std::int64_t step = std::stoll(digits);
    if (checkpoint_path("", step) == "/" + name) steps.push_back(step);
  }
  SR_CHECK(!error || error == std::errc::no_such_file_or_directory, ErrorKind::checkpoint,
           "{}: cannot be listed: {}", folder, error.message());
  std::sort(steps.rbegin(), steps.rend());
  return steps;
}

namespace {

// The manifest goes first: whatever a crash leaves of the rest is no checkpoint.
void remove_checkpoint(const std::string& path, const FaultPlan& faults, int rank) {
  fs::remove(path + "/manifest.json");
  faults.at("checkpoint.mid_prune", rank);
  fs::remove_all(path);
}

}  // namespace

// Rank 0's part of beginning: an empty folder, on disk. "" or one line.
std::string CheckpointStore::prepare_folder(std::int64_t step) const {
  const std::string path = checkpoint_path(folder_, step);
  try {
    fs::create_directories(folder_);
    remove_checkpoint(path, FaultPlan(), communicator_.rank());
    fs::create_directory(path);
    sync_folder(folder_);
    return "";
  } catch (const std::exception& error) {
    return error.what();
  }
}

void CheckpointStore::begin_save(const TrainingState& state, std::span<const TensorPiece> mine) {
  finish_save();
  if (state.step == last_committed_) return;
  if (selected_ && state.step == selected_->state.step) {
    if (selected_->state.evaluation_due && !state.evaluation_due) rewrite_state(state);
    return;
  }
  std::string outcome;
  if (communicator_.rank() == 0) outcome = prepare_folder(state.step);
  outcome = communicator_.broadcast_text(outcome, 0);
  if (!outcome.empty()) {
    fail_save(state.step, "rank 0: " + outcome);
    return;
  }
  const Stopwatch watch;
  pending_->state = state;
  copy_pieces(mine);
  pending_->seconds = watch.seconds();
  writer_->enqueue([this] { write_pending(); });
  pending_->written = writer_->record();
  saving_ = true;
  const auto is_read = [](const TensorPiece& piece) { return static_cast<bool>(piece.read); };
  if (std::ranges::any_of(mine, is_read)) pending_->written.wait();
}

void CheckpointStore::copy_pieces(std::span<const TensorPiece> mine) {
  pending_->pieces.resize(mine.size());
  for (std::size_t i = 0; i < mine.size(); ++i) {
    const TensorPiece& piece = mine[i];
    SR_ASSERT(0 <= piece.begin && piece.begin <= piece.end && piece.end <= piece.total &&
                  piece.data.numel() == piece.end - piece.begin,
              "{}: [{}, {}) of {} in a tensor of {}", piece.name, piece.begin, piece.end,
              piece.total, piece.data.numel());
    HostPiece& copy = pending_->pieces[i];
    copy.name = piece.name;
    copy.begin = piece.begin;
    copy.end = piece.end;
    copy.total = piece.total;
    copy.read = piece.read;
    copy.given = piece.apart ? piece.data : Tensor();
    const auto values =
        piece.read || piece.apart ? std::span<const float>() : piece.data.span<float>();
    copy.copy.assign(values.begin(), values.end());
  }
}

// On the writer's thread. Nothing may escape: a stream that saw an error does no more work.
void CheckpointStore::write_pending() const {
  Pending& pending = *pending_;
  const Stopwatch watch;
  const int rank = communicator_.rank();
  const std::string path = checkpoint_path(folder_, pending.state.step) + "/" +
                           shard_name(static_cast<std::size_t>(rank));
  try {
    pending.outcome =
        shard_text(write_shard(path, pending.state.step, pending.pieces, options_.faults, rank));
  } catch (const std::exception& error) {
    pending.outcome = fmt::format("{}rank {}: {}", kFailed, rank, error.what());
  }
  pending.seconds += watch.seconds();
}

void CheckpointStore::finish_save() {
  if (!saving_) return;
  saving_ = false;
  pending_->written.wait();
  for (HostPiece& piece : pending_->pieces) piece.given = Tensor();
  const Stopwatch watch;
  const std::vector<std::string> outcomes = communicator_.all_gather_text(pending_->outcome);
  std::string failure;
  if (communicator_.rank() == 0) failure = commit(outcomes);
  failure = communicator_.broadcast_text(failure, 0);
  const std::int64_t step = pending_->state.step;
  if (!failure.empty()) {
    fail_save(step, failure);
    return;
  }
  last_committed_ = step;
  longest_save_seconds_ = std::max(longest_save_seconds_, pending_->seconds + watch.seconds());
  std::erase(known_bad_, step);
  if (communicator_.rank() == 0) prune();
}

// The shards stay as they are; the manifest changes as a whole or not at all.
void CheckpointStore::rewrite_state(const TrainingState& state) {
  std::string failure;
  if (communicator_.rank() == 0) {
    try {
      selected_->state = state;
      publish(*selected_);
    } catch (const std::exception& error) {
      failure = fmt::format("rank 0: {}", error.what());
    }
  }
  failure = communicator_.broadcast_text(failure, 0);
  SR_CHECK(failure.empty(), ErrorKind::checkpoint, "save of step {} failed: {}", state.step,
           failure);
  selected_->state = state;
}

// Rank 0: the manifest, if every shard is written. "" or one line that names the first rank at
// fault.
std::string CheckpointStore::commit(const std::vector<std::string>& outcomes) const {
  try {
    for (const std::string& outcome : outcomes)
      if (outcome[0] == kFailed) return outcome.substr(1);
    Manifest manifest;
    manifest.state = pending_->state;
    for (const std::string& outcome : outcomes) manifest.shards.push_back(parse_shard(outcome));
    publish(manifest);
    return "";
  } catch (const std::exception& error) {
    return fmt::format("rank {}: {}", communicator_.rank(), error.what());
  }
}

void CheckpointStore::publish(const Manifest& manifest) const {
  const int rank = communicator_.rank();
  const std::string folder = checkpoint_path(folder_, manifest.state.step);
  const std::string path = folder + "/manifest.json", temporary = path + ".tmp";
  check_coverage(manifest, path);
  options_.faults.at("checkpoint.before_manifest", rank);
  sync_folder(folder);  // the shards' names, before anything says that they are there
  write_text_file(temporary, manifest_text(manifest));
  options_.faults.at("checkpoint.after_manifest_fsync", rank);
  rename_and_sync(temporary, path);
  options_.faults.at("checkpoint.after_manifest_rename", rank);
}

// All ranks, with the same text.
void CheckpointStore::fail_save(std::int64_t step, const std::string& why) const {
  const std::string line = fmt::format("save of step {} failed: {}", step, why);
  if (communicator_.rank() == 0) {
    std::error_code ignored;  // what cannot be removed has no manifest
    fs::remove(checkpoint_path(folder_, step) + "/manifest.json", ignored);
    fs::remove_all(checkpoint_path(folder_, step), ignored);
    options_.report(line);
  }
  SR_CHECK(options_.on_failure == SaveFailure::warn, ErrorKind::checkpoint, "{}", line);
}

// Rank 0, after a commit. Only whole checkpoints count; folders without a sound manifest go once a
// good checkpoint is newer. Trouble is reported, never thrown: the save itself has succeeded.
void CheckpointStore::prune() const {
  try {
    int kept = 0;
    const std::int64_t best = pending_->state.best_step;
    for (const std::int64_t step : checkpoint_steps(folder_)) {
      if (step > last_committed_) continue;  // of a run that got further than what was restored
      const std::string path = checkpoint_path(folder_, step);
      const std::string fault = find_fault(step);
      if (fault.empty() && (kept < options_.keep_last || step == best)) {
        ++kept;
        continue;
      }
      remove_checkpoint(path, options_.faults, communicator_.rank());
      if (!fault.empty()) options_.report(fmt::format("removed {}: {}", path, fault));
    }
  } catch (const std::exception& error) {
    options_.report(fmt::format("old checkpoints stay: {}", error.what()));
  }
}

// Rank 0: what is wrong with a folder, without reading its shards. "" = nothing.
std::string CheckpointStore::find_fault(std::int64_t step) const {
  if (std::count(known_bad_.begin(), known_bad_.end(), step) > 0) return "it did not verify";
  const std::string path = checkpoint_path(folder_, step);
  try {
    const Manifest manifest = parse_manifest(
        read_text_file(path + "/manifest.json", kManifestLimit), path + "/manifest.json");
    for (std::size_t i = 0; i < manifest.shards.size(); ++i) {
      const std::string shard = path + "/" + shard_name(i);
      SR_CHECK(fs::file_size(shard) == static_cast<std::uintmax_t>(manifest.shards[i].bytes),
               ErrorKind::checkpoint, "{}: not of the length that the manifest says", shard);
    }
    return "";
  } catch (const NewerFormatError&) {
    return "";  // sound, and not ours to judge
  } catch (const std::exception& error) {
    return error.what();
  }
}

}  // namespace seqrank
