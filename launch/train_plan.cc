// Plans as often as it takes to find settings that fit; plans cost no memory.
#include "launch/train_plan.h"

#include <fmt/format.h>

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
  rows.push_back({"together", memory_words(plan.total())});
  return fmt::format("\n{} parameters; a rank of {} takes at most\n", with_commas(plan.parameters),
                     ranks) +
         format_table({"memory", "at most"}, rows);
}

std::string plan_json(const MemoryPlan& plan, int ranks, std::int64_t available) {
  Json json = {{"ranks", ranks}, {"parameters", plan.parameters}, {"peak_bytes", Json::object()}};
  for (int tag = 0; tag < kTags; ++tag)
    json["peak_bytes"][tag_name(static_cast<Tag>(tag))] = plan.peak_bytes[tag];
  json["total_bytes"] = plan.total();
  json["available_bytes"] = available;
  return json.dump(2) + "\n";
}

// What fits `available`: "--train.batch=16" or "--ranks=8", or both; "" where neither does.
std::string settings_that_fit(const Dataset& dataset, const Options& run, int ranks,
                              std::int64_t available) {
  std::string found;
  Options smaller = run;
  for (std::int64_t batch = run.integer("train.batch") / 2; batch >= ranks; batch /= 2) {
    smaller.set("train.batch", std::to_string(batch), "dry run");
    if (plan_memory(dataset, smaller, ranks, 1).total() > available) continue;
    found = fmt::format("--train.batch={}", batch);
    break;
  }
  const std::int64_t most = std::min<std::int64_t>(kMostRanks, run.integer("train.batch"));
  for (int more = 2 * ranks; more <= most; more *= 2) {
    if (plan_memory(dataset, run, more, 1).total() > available) continue;
    return found + fmt::format("{}{} ranks", found.empty() ? "" : " or ", more);
  }
  return found;
}

}  // namespace

void tell_memory_plan(const Options& given, const Dataset& dataset) {
  const Options run = options_of_run(given);
  const int ranks = static_cast<int>(given.integer("ranks"));
  const MemoryPlan plan =
      plan_memory(dataset, run, ranks, static_cast<int>(given.integer("threads")));
  const std::int64_t available = given.has("memory")
                                     ? parse_memory_size("memory", given.text("memory"))
                                     : available_memory_bytes();
  print_out(plan_text(plan, ranks));
  if (given.has("json")) write_file(given.text("json"), plan_json(plan, ranks, available));
  if (available == 0 || plan.total() <= available) return;
  const std::string fits = settings_that_fit(dataset, run, ranks, available);
  throw Error(ErrorKind::device,
              fmt::format("a rank would take {} and may take {}; {}", memory_words(plan.total()),
                          memory_words(available),
                          fits.empty() ? "no smaller batch and no number of ranks would fit: make "
                                         "the model narrower (--model.width)"
                                       : "it would fit with " + fits));
}

}  // namespace seqrank
