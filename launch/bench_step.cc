// seqrank bench step: the speed of the training step, as ratios against what is measured in the
// same run. Shows what trainer/bench_step.h measured.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "backend/check.h"
#include "backend/device_facts.h"
#include "collective/communicator.h"
#include "launch/bench.h"
#include "launch/output.h"
#include "launch/rank_device.h"
#include "launch/ranks.h"
#include "launch/report.h"
#include "launch/table.h"
#include "trainer/bench_step.h"

namespace seqrank {
namespace {

using Json = nlohmann::ordered_json;

std::vector<OptionSpec> options() {
  std::vector<OptionSpec> specs = training_bench_options();
  for (OptionSpec& spec : device_options()) specs.push_back(spec);
  for (OptionSpec& spec : bench_step_options()) specs.push_back(spec);
  specs.push_back(json_option());
  return specs;
}

Json to_json(const StepSpeed& speed) {
  return {{"ranks", speed.ranks},
          {"events_per_s", speed.events_per_s},
          {"median_events_per_s", speed.median_events_per_s},
          {"flops_per_event", speed.flops_per_event},
          {"flops_per_s", speed.flops_per_s}};
}

std::string to_json_text(const StepBench& bench, const char* device, const Options& given) {
  Json json = {{"bench", "step"},
               {"device", device},
               {"data", given.text("data")},
               {"model", given.text("model.name")},
               {"precision", precision_name(bench.precision)},
               {"threads", bench.threads},
               {"steps", bench.steps},
               {"repeats", bench.repeats},
               {"matmul_flops_per_s", bench.matmul_flops_per_s},
               {"matmul_share", bench.matmul_share},
               {"share_of_matmul_rate", bench.share_of_matmul_rate},
               {"one_rank", to_json(bench.one)},
               {"all_ranks", to_json(bench.all)},
               {"speedups", bench.speedups},
               {"speedup", bench.speedup}};
  for (const StepShare& part : bench.parts) {
    json["parts"].push_back(
        {{"part", part.part}, {"seconds", part.seconds}, {"share", part.share}});
  }
  return json.dump(2) + "\n";
}

std::string giga(double flops) {
  return fmt::format("{:.1f}", flops / 1e9);
}

std::string events(const StepSpeed& speed) {
  return with_commas(static_cast<std::int64_t>(speed.median_events_per_s));
}

// "58.2 to 66.0"
std::string range_of(const std::vector<double>& values, double factor) {
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  return fmt::format("{:.2f} to {:.2f}", *least * factor, *most * factor);
}

void print_bench(const StepBench& bench) {
  if (!bench.precision_note.empty()) print_out(bench.precision_note + "\n");
  print_out(fmt::format("{} repeats of {} steps in {}, {} thread{} a rank; medians, and ranges\n\n",
                        bench.repeats, bench.steps, precision_name(bench.precision), bench.threads,
                        bench.threads == 1 ? "" : "s"));
  std::vector<std::vector<std::string>> rows = {
      {"matrix product in fp32, one rank", "", giga(bench.matmul_flops_per_s), ""},
      {"training, one rank", events(bench.one), giga(bench.one.flops_per_s),
       fmt::format("{:.1f} % of the matrix product ({})", 100 * bench.share_of_matmul_rate,
                   range_of(bench.matmul_share, 100))}};
  if (bench.all.ranks > 1) {
    rows.push_back(
        {fmt::format("training, {} ranks", bench.all.ranks), events(bench.all),
         giga(bench.all.flops_per_s),
         fmt::format("{:.2f} times one rank ({})", bench.speedup, range_of(bench.speedups, 1))});
  }
  print_out(format_table({"", "events/s", "GFLOP/s", "ratio"}, rows));
  std::vector<std::vector<std::string>> parts;
  for (const StepShare& part : bench.parts) {
    parts.push_back({part.part, fmt::format("{:.1f} %", 100 * part.share),
                     fmt::format("{:.3f}", part.seconds)});
  }
  print_out("\n" + format_table({"part of the step, one rank", "share", "seconds"}, parts));
}

void dry_run(const Options& given) {
  check_training_bench(given);
  const Dataset dataset = Dataset::open(given.text("data"));
  print_out(fmt::format("would measure training steps of {} on {}\n", given.text("model.name"),
                        dataset.path()));
}

int run(const Options& given, Communicator& comm) {
  check_training_bench(given);
  const Dataset dataset = Dataset::open(given.text("data"));
  RankDevice device(comm, given, rank_threads(comm, given));
  const StepBench bench = bench_step(device.ctx(), device.ranks(), dataset, given);
  if (comm.rank() != 0) return 0;
  if (!device.why().empty()) print_out(device.why() + "\n");
  for (const std::string& note : take_device_notes(device.ctx())) print_out(note + "\n");
  print_bench(bench);
  const char* name = device_name(device.ctx().device());
  if (given.has("json")) write_file(given.text("json"), to_json_text(bench, name, given));
  return 0;
}

}  // namespace

Bench step_bench() {
  return {"step",
          "the training step, its parts, and more ranks",
          {"seqrank bench step --data=ml-1m.h5 --threads=1",
           "mpirun -np 2 --bind-to none seqrank bench step --data=ml-1m.h5 --threads=1 "
           "--json=bench.json"},
          options,
          dry_run,
          run};
}

}  // namespace seqrank
