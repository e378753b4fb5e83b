// Finding, verifying, comparing and loading checkpoints; see checkpoint.h. Rank 0 alone looks into
// the folder and hands the manifest's text round, so that all ranks judge the same one.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <map>
#include <system_error>

#include "trainer/checkpoint.h"
#include "trainer/checkpoint_shard.h"
#include "trainer/text_file.h"

namespace seqrank {
namespace {

// What rank 0 broadcasts: the manifest's text, or this and one line.
constexpr char kFailed = '!';

std::string first_of(const std::vector<std::string>& failures) {
  for (const std::string& failure : failures)
    if (!failure.empty()) return failure;
  return "";
}

std::string elements_text(std::int64_t total) {
  return total < 0 ? std::string("-") : fmt::format("{} elements", total);
}

}  // namespace

// Of the shards, rank r reads every size()-th. "" = good, else one line.
std::string CheckpointStore::verify_my_shards(const Manifest& manifest) const {
  const std::string folder = checkpoint_path(folder_, manifest.state.step);
  for (std::size_t i = static_cast<std::size_t>(communicator_.rank()); i < manifest.shards.size();
       i += static_cast<std::size_t>(communicator_.size())) {
    const std::string fault = verify_shard(folder + "/" + shard_name(i), manifest.shards[i]);
    if (!fault.empty()) return fault;
  }
  return "";
}

// Makes `step` the selected checkpoint if it verifies: "", else one line, the same on all ranks.
std::string CheckpointStore::try_select(std::int64_t step) {
  if (selected_ && selected_->state.step == step) return "";
  const std::string path = checkpoint_path(folder_, step) + "/manifest.json";
  std::string text;
  if (communicator_.rank() == 0) {
    try {
      text = read_text_file(path, kManifestLimit);
    } catch (const Error& error) {
      text = kFailed + std::string(error.what());
    }
  }
  text = communicator_.broadcast_text(text, 0);
  if (text.starts_with(kFailed)) return text.substr(1);
  std::optional<Manifest> manifest;
  try {
    manifest = parse_manifest(text, path);
    SR_CHECK(manifest->state.step == step, ErrorKind::checkpoint, "{}: is of step {}", path,
             manifest->state.step);
  } catch (const NewerFormatError&) {
    throw;
  } catch (const Error& error) {
    return error.what();
  }
  const std::string fault = first_of(communicator_.all_gather_text(verify_my_shards(*manifest)));
  if (!fault.empty()) {
    known_bad_.push_back(step);
    return fault;
  }
  selected_ = std::move(manifest);
  return "";
}

void CheckpointStore::select(std::int64_t step) {
  const std::string fault = try_select(step);
  SR_CHECK(fault.empty(), ErrorKind::checkpoint, "{}", fault);
}

std::optional<TrainingState> CheckpointStore::newest_good() {
  selected_.reset();
  std::string listed;  // "300 200 100"; or kFailed and one line
  if (communicator_.rank() == 0) {
    try {
      for (const std::int64_t step : checkpoint_steps(folder_)) listed += fmt::format("{} ", step);
    } catch (const Error& error) {
      listed = kFailed + std::string(error.what());
    }
  }
  listed = communicator_.broadcast_text(listed, 0);
  SR_CHECK(!listed.starts_with(kFailed), ErrorKind::checkpoint, "{}", listed.substr(1));
  const char* at = listed.data();
  const char* const end = at + listed.size();
  while (at != end) {
    std::int64_t step = 0;
    at = std::from_chars(at, end, step).ptr + 1;
    const std::string fault = try_select(step);
    if (fault.empty()) return selected_->state;
    if (communicator_.rank() == 0)
      options_.report(fmt::format("checkpoint of step {} is passed over: {}", step, fault));
  }
  return std::nullopt;
}

std::int64_t CheckpointStore::published() const {
  std::int64_t count = 0;
  if (communicator_.rank() == 0) {
    std::error_code ignored;  // what cannot be looked at was reported by newest_good()
    for (const std::int64_t step : checkpoint_steps(folder_))
      count += std::filesystem::exists(checkpoint_path(folder_, step) + "/manifest.json", ignored);
  }
  return communicator_.all_reduce_value(count, Reduce::sum);
}

std::optional<TrainingState> CheckpointStore::best_good() {
  const std::optional<TrainingState> newest = newest_good();
  if (!newest || newest->best_step < 0 || newest->best_step == newest->step) return newest;
  const std::string fault = try_select(newest->best_step);
  if (!fault.empty() && communicator_.rank() == 0)
    options_.report(fmt::format("the best step, {}, is not to be had, step {} is taken: {}",
                                newest->best_step, newest->step, fault));
  return selected_->state;
}

TrainingState CheckpointStore::good(std::int64_t step) {
  select(step);
  return selected_->state;
}

std::vector<Difference> CheckpointStore::differences(std::int64_t step,
                                                     std::span<const TensorTotal> model,
                                                     const TrainingState& now,
                                                     std::span<const std::string> keys) {
  select(step);
  const TrainingState& saved = selected_->state;
  std::vector<Difference> rows = config_differences(saved.config, now.config, keys);
  if (saved.dataset_fingerprint != now.dataset_fingerprint)
    rows.push_back({"data fingerprint", saved.dataset_fingerprint, now.dataset_fingerprint});
  const bool keys_known = saved.item_fingerprint != "none" && now.item_fingerprint != "none";
  if (keys_known && saved.item_fingerprint != now.item_fingerprint)
    rows.push_back({"item keys' fingerprint", saved.item_fingerprint, now.item_fingerprint});
  for (const auto& [column, names] : saved.columns)
    if (const auto here = now.columns.find(column);
        here != now.columns.end() && here->second != names)
      rows.push_back({fmt::format("names of the values of {}", column), names, here->second});
  std::map<std::string, std::pair<std::int64_t, std::int64_t>> totals;  // saved, now; -1 = absent
  for (const TensorTotal& tensor : tensors_of(*selected_)) totals[tensor.name] = {tensor.total, -1};
  for (const TensorTotal& tensor : model)
    totals.try_emplace(tensor.name, -1, -1).first->second.second = tensor.total;
  for (const auto& [name, sizes] : totals)
    if (sizes.first != sizes.second)
      rows.push_back(
          {name, elements_text(sizes.first), elements_text(sizes.second), Difference::Of::tensor});
  return rows;
}

void CheckpointStore::load(std::int64_t step, std::span<TensorPiece> wanted) {
  select(step);
  std::string failure;
  try {
    std::map<std::string, std::int64_t> totals;
    for (const TensorTotal& tensor : tensors_of(*selected_)) totals[tensor.name] = tensor.total;
    for (const TensorPiece& piece : wanted) {
      SR_ASSERT(0 <= piece.begin && piece.begin <= piece.end && piece.end <= piece.total &&
                    piece.data.numel() == piece.end - piece.begin,
                "{}: [{}, {}) of {} into a tensor of {}", piece.name, piece.begin, piece.end,
                piece.total, piece.data.numel());
      const auto found = totals.find(piece.name);
      SR_CHECK(found != totals.end() && found->second == piece.total, ErrorKind::checkpoint,
               "checkpoint of step {}: {} of {} elements is wanted, {} saved", step, piece.name,
               piece.total,
               found == totals.end() ? "it was not" : fmt::format("{} were", found->second));
    }
    // A manifest is believed only if its pieces tile every tensor, so all that is wanted is there.
    const std::string folder = checkpoint_path(folder_, step);
    for (std::size_t i = 0; i < selected_->shards.size(); ++i)
      read_shard(folder + "/" + shard_name(i), selected_->shards[i], wanted);
  } catch (const Error& error) {
    failure = fmt::format("rank {}: {}", communicator_.rank(), error.what());
  }
  failure = first_of(communicator_.all_gather_text(failure));
  SR_CHECK(failure.empty(), ErrorKind::checkpoint, "{}", failure);
}

}  // namespace seqrank
