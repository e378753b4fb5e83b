// Plans as often as it takes to find settings that fit; plans cost no memory.
#include "launch/train_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "backend/check.h"
#include "launch/memory_size.h"
#include "launch/output.h"
#include "launch/report.h"
#include "launch/table.h"
#include "launch/train_call.h"
#include "trainer/memory_plan.h"

namespace seqrank {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kMostRanks = 4096;

std::string plan_text(const MemoryPlan& plan, int ranks) {
  std::vector<std::vector<std::string>> rows;
  for (int tag = 0; tag < kTags; ++tag)
    rows.push_back({tag_name(static_cast<Tag>(tag)), memory_words(plan.peak_bytes[tag])});
  rows.push_back({"copy to save", memory_words(plan.checkpoint_bytes)});
  rows.push_back({"together", memory_words(plan.total())});
  if (plan.file_bytes > 0) rows.push_back({"beside it, in files", memory_words(plan.file_bytes)});
  return fmt::format("\n{} parameters; a rank of {} takes at most\n", with_commas(plan.parameters),
                     ranks) +
         format_table({"memory", "at most"}, rows);
}

std::string plan_json(const MemoryPlan& plan, int ranks, std::int64_t available) {
  const Json json = {{"ranks", ranks},
                     {"parameters", plan.parameters},
                     {"peak_bytes", json_of(plan.peak_bytes)},
                     {"checkpoint_bytes", plan.checkpoint_bytes},
                     {"total_bytes", plan.total()},
                     {"file_bytes", plan.file_bytes},
                     {"available_bytes", available}};
  return json.dump(2) + "\n";
}

// Looks for settings under which a rank takes no more than it may.
class Fitting {
 public:
  // groups: table.group of more ranks than these, of which nobody knows the hosts.
  Fitting(const Dataset& dataset, const Options& run, const std::string& groups, int ranks,
          int threads, std::int64_t available)
      : dataset_(dataset),
        run_(run),
        groups_(groups),
        ranks_(ranks),
        threads_(threads),
        available_(available) {}

  // "--train.batch=48, 8 ranks or --loss.kind=sampled_softmax"; "" where nothing does.
  std::string words() const {
    std::vector<std::string> found;
    if (const std::int64_t batch = largest_batch(); batch > 0)
      found.push_back(fmt::format("--train.batch={}", batch));
    if (ranks_ > 1 && fits(ranks_, kSplit)) found.emplace_back("--table.split=yes");
    if (const int ranks = fewest_ranks({}); ranks > 0) {
      found.push_back(fmt::format("{} ranks", ranks));
    } else if (const int split = fewest_ranks(kSplit); split > 0) {
      found.push_back(fmt::format("{} ranks and --table.split=yes", split));
    }
    const bool exact = run_.declares("loss.kind") && run_.text("loss.kind") == "softmax";
    if (exact && fits(ranks_, kSampled)) {
      found.emplace_back("--loss.kind=sampled_softmax");
    } else if (exact && fits(ranks_, kSampledByRows)) {
      found.emplace_back("--loss.kind=sampled_softmax and --table.optimiser=rowwise_adagrad");
    } else if (fits(ranks_, kByRows)) {
      found.emplace_back("--table.optimiser=rowwise_adagrad");
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
  inline static const Settings kSampledByRows = {kSampled[0], kByRows[0]};

  // False, too, where the model knows no such setting.
  bool fits(int ranks, const Settings& settings) const {
    try {
      Options changed = run_;
      if (ranks != ranks_) changed.set("table.group", groups_, "plan");
      for (const auto& [key, value] : settings) changed.set(key, value, "plan");
      return plan_memory(dataset_, changed, ranks, threads_).total() <= available_;
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::usage) throw;
      return false;
    }
  }
  bool batch_fits(std::int64_t batch) const {
    return fits(ranks_, {{"train.batch", std::to_string(batch)}});
  }
  // To a sixteenth; 0: none.
  std::int64_t largest_batch() const {
    std::int64_t least = run_.integer("train.batch") / 2;
    while (least >= ranks_ && !batch_fits(least)) least /= 2;
    if (least < ranks_) return 0;
    for (std::int64_t step = least / 2; step > 0 && step >= least / 16; step /= 2)
      if (batch_fits(least + step)) least += step;
    return least;
  }
  // 0: none.
  int fewest_ranks(const Settings& settings) const {
    const auto most =
        static_cast<int>(std::min<std::int64_t>(kMostRanks, run_.integer("train.batch")));
    int enough = 2 * ranks_;
    while (enough <= most && !fits(enough, settings)) enough *= 2;
    if (enough > most) return 0;
    for (int too_few = enough / 2; enough - too_few > 1;) {
      const int middle = (too_few + enough) / 2;
      (fits(middle, settings) ? enough : too_few) = middle;
    }
    return enough;
  }

  const Dataset& dataset_;
  const Options& run_;
  std::string groups_;
  int ranks_, threads_;
  std::int64_t available_;
};

void refuse_too_much(const MemoryPlan& plan, const Fitting& fitting, std::int64_t available) {
  if (available == 0 || plan.total() <= available) return;
  const std::string fits = fitting.words();
  throw Error(ErrorKind::device,
              fmt::format("a rank would take {} and may take {}; {}", memory_words(plan.total()),
                          memory_words(available),
                          fits.empty() ? "no smaller batch, no number of ranks and no drawn "
                                         "negatives would fit: make the model narrower "
                                         "(--model.width)"
                                       : "it would fit with " + fits));
}

}  // namespace

void tell_memory_plan(const Options& given, const Dataset& dataset) {
  const Options run = options_of_run(given);
  const int ranks = static_cast<int>(given.integer("ranks"));
  const int threads = static_cast<int>(given.integer("threads"));
  const MemoryPlan plan = plan_memory(dataset, run, ranks, threads);
  const std::int64_t available = given.has("memory")
                                     ? parse_memory_size("memory", given.text("memory"))
                                     : available_memory_bytes();
  print_out(plan_text(plan, ranks));
  if (given.has("json")) write_file(given.text("json"), plan_json(plan, ranks, available));
  refuse_too_much(plan, {dataset, run, run.text("table.group"), ranks, threads, available},
                  available);
}

void check_memory(const Options& given, const Dataset& dataset, Communicator& comm, int threads) {
  if (!given.has("memory")) return;
  const std::int64_t available = parse_memory_size("memory", given.text("memory"));
  Options run = options_of_run(given);
  const std::string groups = run.text("table.group");
  if (groups == "node")
    run.set("table.group", std::to_string(comm.split_shared()->size()), "this run's hosts");
  refuse_too_much(plan_memory(dataset, run, comm.size(), threads),
                  {dataset, run, groups, comm.size(), threads, available}, available);
}

}  // namespace seqrank
