// Plans as often as it takes to find settings that fit; plans cost no memory.
#include "launch/train_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "backend/check.h"
#include "backend/device.h"
#include "backend/device_facts.h"
#include "launch/memory_size.h"
#include "launch/output.h"
#include "launch/rank_device.h"
#include "launch/report.h"
#include "launch/table.h"
#include "launch/train_call.h"
#include "trainer/available_memory.h"
#include "trainer/memory_plan.h"

namespace seqrank {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kMostRanks = 4096;

// What may be taken; 0: nobody knows, or nobody asks.
struct Room {
  std::int64_t of_rank = 0;  // of its device
  std::int64_t of_host = 0;  // by all ranks, which are imagined on one host
  bool holds_rank(const MemoryPlan& plan) const { return has_room(plan.total(), 1, of_rank); }
  bool holds_host(const MemoryPlan& plan, int ranks) const {
    return has_room(plan.host_bytes(), ranks, of_host);
  }
};

std::string plan_text(const MemoryPlan& plan, int ranks) {
  std::vector<std::vector<std::string>> rows;
  for (int tag = 0; tag < kTags; ++tag)
    rows.push_back({tag_name(static_cast<Tag>(tag)), memory_words(plan.peak_bytes[tag])});
  if (plan.device == Device::cpu)
    rows.push_back({"copy to save", memory_words(plan.checkpoint_bytes)});
  if (plan.cache_bytes > 0) rows.push_back({"first rows", memory_words(plan.cache_bytes)});
  rows.push_back({"together", memory_words(plan.total())});
  if (plan.device != Device::cpu)
    rows.push_back({"beside it, of the host", memory_words(plan.host_bytes())});
  if (plan.table_bytes > 0) rows.push_back({"of that, tables", memory_words(plan.table_bytes)});
  if (ranks > 1)
    rows.push_back({fmt::format("of one host, by its {} ranks", ranks),
                    memory_words(ranks * plan.host_bytes())});
  if (plan.file_bytes > 0) rows.push_back({"beside it, in files", memory_words(plan.file_bytes)});
  return fmt::format("\n{} parameters; a rank of {} takes at most\n", with_commas(plan.parameters),
                     ranks) +
         format_table({plan.device == Device::cpu ? "memory" : "memory of a GPU", "at most"}, rows);
}

std::string plan_json(const MemoryPlan& plan, int ranks, const Room& room) {
  const Json json = {{"ranks", ranks},
                     {"device", device_name(plan.device)},
                     {"parameters", plan.parameters},
                     {"peak_bytes", json_of(plan.peak_bytes)},
                     {"checkpoint_bytes", plan.checkpoint_bytes},
                     {"total_bytes", plan.total()},
                     {"pinned_bytes", plan.pinned_bytes},
                     {"file_bytes", plan.file_bytes},
                     {"table_bytes", plan.table_bytes},
                     {"cache_bytes", plan.cache_bytes},
                     {"available_bytes", room.of_rank},
                     {"host_bytes", ranks * plan.host_bytes()},
                     {"host_available_bytes", room.of_host}};
  return json.dump(2) + "\n";
}

// Looks for settings under which the ranks take no more than they may.
class Fitting {
 public:
  // groups: table.group of more ranks than these, of which nobody knows the hosts.
  Fitting(const Dataset& dataset, const Options& run, const std::string& groups,
          const PlannedRanks& ranks, const Room& room)
      : dataset_(dataset), run_(run), groups_(groups), ranks_(ranks), room_(room) {}

  // "--train.batch=48, 8 ranks or --loss.kind=sampled_softmax"; "" where nothing does. More ranks
  // take less each, and more together.
  std::string words(bool fewer_ranks) const {
    std::vector<std::string> found;
    if (const std::int64_t batch = largest_batch(); batch > 0)
      found.push_back(fmt::format("--train.batch={}", batch));
    if (ranks_.count > 1 && fits(ranks_.count, kSplit)) found.emplace_back("--table.split=yes");
    if (fewer_ranks) {
      if (const int ranks = most_ranks(); ranks > 0)
        found.push_back(fmt::format("{} rank{}", ranks, ranks == 1 ? "" : "s"));
    } else if (const int ranks = fewest_ranks({}); ranks > 0) {
      found.push_back(fmt::format("{} ranks", ranks));
    } else if (const int split = fewest_ranks(kSplit); split > 0) {
      found.push_back(fmt::format("{} ranks and --table.split=yes", split));
    }
    const bool exact = run_.declares("loss.kind") && run_.text("loss.kind") == "softmax";
    if (exact && fits(ranks_.count, kSampled)) {
      found.emplace_back("--loss.kind=sampled_softmax");
    } else if (exact && fits(ranks_.count, kSampledByRows)) {
      found.emplace_back("--loss.kind=sampled_softmax and --table.optimiser=rowwise_adagrad");
    } else if (fits(ranks_.count, kByRows)) {
      found.emplace_back("--table.optimiser=rowwise_adagrad");
    } else if (fits(ranks_.count, kBf16)) {
      found.emplace_back("--table.dtype=bf16");
    }
    if (found.size() < 2) return found.empty() ? "" : found[0];
    const std::string last = found.back();
    found.pop_back();
    return fmt::format("{} or {}", fmt::join(found, ", "), last);
  }

 private:
  using Settings = std::vector<std::pair<const char*, std::string>>;
  inline static const Settings kSplit = {{"table.split", "yes"}};
  inline static const Settings kSampled = {{"loss.kind", "sampled_softmax"}};
  inline static const Settings kByRows = {{"table.optimiser", "rowwise_adagrad"}};
  inline static const Settings kBf16 = {{"table.dtype", "bf16"}};
  inline static const Settings kSampledByRows = {kSampled[0], kByRows[0]};

  // False, too, where the model knows no such setting.
  bool fits(int ranks, const Settings& settings) const {
    try {
      Options changed = run_;
      if (ranks != ranks_.count) changed.set("table.group", groups_, "plan");
      for (const auto& [key, value] : settings) changed.set(key, value, "plan");
      const PlannedRanks others{ranks, ranks_.threads, ranks_.device};
      const MemoryPlan plan = plan_memory(dataset_, changed, others);
      return room_.holds_rank(plan) && room_.holds_host(plan, ranks);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::usage) throw;
      return false;
    }
  }
  bool batch_fits(std::int64_t batch) const {
    return fits(ranks_.count, {{"train.batch", std::to_string(batch)}});
  }
  // To a sixteenth; 0: none.
  std::int64_t largest_batch() const {
    std::int64_t least = run_.integer("train.batch") / 2;
    while (least >= ranks_.count && !batch_fits(least)) least /= 2;
    if (least < ranks_.count) return 0;
    for (std::int64_t step = least / 2; step > 0 && step >= least / 16; step /= 2)
      if (batch_fits(least + step)) least += step;
    return least;
  }
  // 0: none.
  int fewest_ranks(const Settings& settings) const {
    const auto most =
        static_cast<int>(std::min<std::int64_t>(kMostRanks, run_.integer("train.batch")));
    int enough = 2 * ranks_.count;
    while (enough <= most && !fits(enough, settings)) enough *= 2;
    if (enough > most) return 0;
    for (int too_few = enough / 2; enough - too_few > 1;) {
      const int middle = (too_few + enough) / 2;
      (fits(middle, settings) ? enough : too_few) = middle;
    }
    return enough;
  }

  // Of fewer than there are; 0: none.
  int most_ranks() const {
    if (ranks_.count == 1 || !fits(1, {})) return 0;
    int few_enough = 1;
    for (int too_many = ranks_.count; too_many - few_enough > 1;) {
      const int middle = (few_enough + too_many) / 2;
      (fits(middle, {}) ? few_enough : too_many) = middle;
    }
    return few_enough;
  }

  const Dataset& dataset_;
  const Options& run_;
  std::string groups_;
  PlannedRanks ranks_;
  Room room_;
};

void refuse_too_much(const MemoryPlan& plan, int ranks, const Fitting& fitting, const Room& room) {
  const bool of_rank = !room.holds_rank(plan);
  if (!of_rank && room.holds_host(plan, ranks)) return;
  const std::string fits = fitting.words(!of_rank);
  const std::string too_much =
      of_rank ? fmt::format("a rank would take {} and may take {}", memory_words(plan.total()),
                            memory_words(room.of_rank))
              : fmt::format(
                    "{} rank{} on one host would take {} of its memory, {} each, and {} are "
                    "free here (--memory tells what a rank may take elsewhere)",
                    ranks, ranks == 1 ? "" : "s", memory_words(ranks * plan.host_bytes()),
                    memory_words(plan.host_bytes()), memory_words(room.of_host));
  throw Error(ErrorKind::device,
              too_much + (fits.empty() ? "; no smaller batch, no number of ranks and no drawn "
                                         "negatives would fit: make the model narrower "
                                         "(--model.width)"
                                       : "; it would fit with " + fits));
}

// As `--device` would have it here.
Device planned_device(const Options& given) {
  const std::string& wanted = given.text("device");
  return wanted == "cuda" || (wanted == "auto" && why_no_cuda().empty()) ? Device::cuda
                                                                         : Device::cpu;
}

// A GPU for each rank. --memory may speak of another machine, of which nobody knows the rest.
Room room_of(const Options& given, Device device) {
  if (given.has("memory")) return {parse_memory_size("memory", given.text("memory")), 0};
  if (device == Device::cpu) return {0, available_memory_bytes()};
  const std::vector<DeviceFacts> devices = cuda_facts().devices;
  return {devices.empty() ? 0 : devices[0].memory_bytes, available_memory_bytes()};
}

}  // namespace

void tell_memory_plan(const Options& given, const Dataset& dataset) {
  const Options run = options_of_run(given);
  const PlannedRanks ranks{static_cast<int>(given.integer("ranks")),
                           static_cast<int>(given.integer("threads")), planned_device(given)};
  const MemoryPlan plan = plan_memory(dataset, run, ranks);
  const Room room = room_of(given, ranks.device);
  print_out(plan_text(plan, ranks.count));
  if (given.has("json")) write_file(given.text("json"), plan_json(plan, ranks.count, room));
  refuse_too_much(plan, ranks.count, {dataset, run, run.text("table.group"), ranks, room}, room);
}

void check_memory(const Options& given, const Dataset& dataset, Communicator& comm,
                  const Context& ctx) {
  if (!given.has("memory")) return;
  Options run = options_of_run(given);
  const std::string groups = run.text("table.group");
  if (groups == "node")
    run.set("table.group", std::to_string(comm.split_shared()->size()), "this run's hosts");
  const PlannedRanks ranks{comm.size(), ctx.threads(), ctx.device()};
  const Room room = room_of(given, ranks.device);
  refuse_too_much(plan_memory(dataset, run, ranks), ranks.count,
                  {dataset, run, groups, ranks, room}, room);
}

}  // namespace seqrank
