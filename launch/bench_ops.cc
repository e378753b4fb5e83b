// seqrank bench ops: the speed of operators, one by one. Shows what trainer/bench_ops.h measured.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "backend/check.h"
#include "launch/bench.h"
#include "launch/list.h"
#include "launch/output.h"
#include "launch/rank_device.h"
#include "launch/ranks.h"
#include "launch/report.h"
#include "launch/table.h"
#include "trainer/bench_ops.h"
#include "trainer/bench_runner.h"

namespace seqrank {
namespace {

using Json = nlohmann::ordered_json;

std::vector<OptionSpec> options() {
  std::vector<OptionSpec> specs = {
      {"bench.ops", OptionKind::text, "attention,recurrence,softmax,rows", "what is measured"},
      {"bench.types", OptionKind::text, "",
       "that products multiply in; empty: fp32, on a GPU fp32,bf16,fp16. Attention on a CPU: fp32 "
       "alone"},
      {"bench.lengths", OptionKind::text, "50,200,512,2048",
       "longest sequences: all of that length, and of lengths as recommenders meet them"},
      {"bench.recurrence_longest", OptionKind::integer, "200",
       "recurrences are measured at lengths up to this", "1..4096"},
      {"bench.recurrences", OptionKind::text, "chosen",
       "whose are measured on a GPU: chosen, own, library"},
      {"bench.head_widths", OptionKind::text, "32,64,128", "of attention"},
      {"bench.items", OptionKind::text, "", "catalogue sizes; empty: 3706, and on a GPU 131072"},
      {"bench.width", OptionKind::integer, "0",
       "of states, of all heads, of rows; 0: 256 on a GPU, 64 on a CPU", "0..8192"},
      {"bench.events", OptionKind::integer, "0",
       "of a call; 0: 65536 on a GPU, 2048 on a CPU; softmax: 8192 at most", "0..16777216"},
      {"bench.repeats", OptionKind::integer, "11", "of everything measured", "1..1000"}};
  for (OptionSpec& spec : rank_options()) specs.push_back(spec);
  for (OptionSpec& spec : device_options()) specs.push_back(spec);
  specs.push_back(json_option());
  return specs;
}

std::vector<std::int64_t> numbers_of(const Options& given, const std::string& key,
                                     const char* allowed, const char* left_open = "") {
  return number_list(key, given.has(key) ? given.text(key) : left_open, allowed);
}

std::vector<Precision> precisions_of(const std::string& list) {
  std::vector<Precision> precisions;
  for (const std::string& name : split_list("bench.types", list)) {
    const auto precision = precision_from_name(name);
    SR_CHECK(precision, ErrorKind::usage,
             "--bench.types={}: \"{}\" is none of fp32, tf32, bf16, fp16", list, name);
    precisions.push_back(*precision);
  }
  return precisions;
}

std::vector<RecurrenceKernels> recurrences_of(const std::string& list) {
  std::vector<RecurrenceKernels> kernels;
  for (const std::string& name : split_list("bench.recurrences", list)) {
    SR_CHECK(name == "chosen" || name == "own" || name == "library", ErrorKind::usage,
             "--bench.recurrences={}: \"{}\" is none of chosen, own, library", list, name);
    kernels.push_back(name == "own"       ? RecurrenceKernels::own
                      : name == "library" ? RecurrenceKernels::library
                                          : RecurrenceKernels::chosen);
  }
  SR_CHECK(!kernels.empty(), ErrorKind::usage, "--bench.recurrences is empty");
  return kernels;
}

// What is left open fits the device: a GPU wants many events at once, a core would take minutes.
OpsPlan plan_of(const Options& given, bool gpu) {
  OpsPlan plan;
  plan.attention = plan.recurrence = plan.softmax = plan.rows = false;
  for (const std::string& op : split_list("bench.ops", given.text("bench.ops"))) {
    bool* wanted = op == "attention"    ? &plan.attention
                   : op == "recurrence" ? &plan.recurrence
                   : op == "softmax"    ? &plan.softmax
                   : op == "rows"       ? &plan.rows
                                        : nullptr;
    SR_CHECK(wanted != nullptr, ErrorKind::usage,
             "--bench.ops={}: \"{}\" is none of attention, recurrence, softmax, rows",
             given.text("bench.ops"), op);
    *wanted = true;
  }
  const char* types = gpu ? "fp32,bf16,fp16" : "fp32";
  plan.precisions = precisions_of(given.has("bench.types") ? given.text("bench.types") : types);
  plan.lengths = numbers_of(given, "bench.lengths", "1..4096");
  plan.head_widths = numbers_of(given, "bench.head_widths", "1..1024");
  plan.items = numbers_of(given, "bench.items", "1..16777216", gpu ? "3706,131072" : "3706");
  plan.recurrence_longest = given.integer("bench.recurrence_longest");
  plan.recurrences = recurrences_of(given.text("bench.recurrences"));
  plan.width = given.integer("bench.width");
  if (plan.width == 0) plan.width = gpu ? 256 : 64;
  plan.events = given.integer("bench.events");
  if (plan.events == 0) plan.events = gpu ? 65536 : 2048;
  plan.repeats = given.integer("bench.repeats");
  return plan;
}

Json to_json(const OpSpeed& speed) {
  const auto [least, most] = std::minmax_element(speed.seconds.begin(), speed.seconds.end());
  Json sizes = Json::object();
  for (const auto& [name, size] : speed.sizes) sizes[name] = size;
  const double seconds = median(speed.seconds);
  Json json = {{"op", speed.op},
               {"pass", speed.pass},
               {"type", speed.type},
               {"lengths", speed.lengths},
               {"by", speed.by},
               {"sizes", sizes},
               {"calls", speed.calls},
               {"seconds", {{"median", seconds}, {"least", *least}, {"most", *most}}}};
  if (speed.flops > 0) json["flops"] = speed.flops, json["flops_per_s"] = speed.flops / seconds;
  if (speed.bytes > 0) json["bytes"] = speed.bytes, json["bytes_per_s"] = speed.bytes / seconds;
  return json;
}

std::string to_json_text(const OpsBench& bench, const OpsPlan& plan, Context& ctx) {
  Json json = {{"bench", "ops"},           {"device", device_name(ctx.device())},
               {"threads", ctx.threads()}, {"events", plan.events},
               {"repeats", plan.repeats},  {"packed_lengths", kPackedLengthsInWords},
               {"lengths", Json::array()}, {"speeds", Json::array()}};
  for (const SampleLengths& lengths : bench.lengths) {
    json["lengths"].push_back({{"name", lengths.name},
                               {"longest", lengths.longest},
                               {"events", lengths.events},
                               {"length_B", lengths.length_B}});
  }
  for (const OpSpeed& speed : bench.speeds) json["speeds"].push_back(to_json(speed));
  return json.dump() + "\n";
}

void print_bench(const OpsBench& bench, const OpsPlan& plan) {
  for (const std::string& note : bench.notes) print_out(note + "\n");
  print_out(fmt::format("medians, and ranges, of {} repeats; packed lengths: {}\n\n", plan.repeats,
                        kPackedLengthsInWords));
  std::vector<std::vector<std::string>> rows;
  for (const OpSpeed& speed : bench.speeds) {
    std::string sizes = speed.lengths;
    if (!speed.by.empty()) sizes += ", by " + speed.by;
    for (const auto& [name, size] : speed.sizes)
      sizes += fmt::format("{}{} {}", sizes.empty() ? "" : ", ", name, size);
    const auto [least, most] = std::minmax_element(speed.seconds.begin(), speed.seconds.end());
    const double seconds = median(speed.seconds);
    rows.push_back({speed.op, speed.pass, speed.type, sizes, fmt::format("{:.4f}", 1e3 * seconds),
                    fmt::format("{:.4f} to {:.4f}", 1e3 * *least, 1e3 * *most),
                    speed.flops > 0 ? fmt::format("{:.3f} TFLOP/s", 1e-12 * speed.flops / seconds)
                                    : fmt::format("{:.1f} GB/s", 1e-9 * speed.bytes / seconds)});
  }
  print_out(format_table({"operator", "pass", "type", "sizes", "ms", "range", "rate"}, rows,
                         {0, 1, 2, 3}));
}

void dry_run(const Options& given) {
  print_out(fmt::format("would measure {} at {} lengths\n", given.text("bench.ops"),
                        plan_of(given, false).lengths.size()));
}

int run(const Options& given, Communicator& comm) {
  plan_of(given, false);  // refuses what is wrong before a device is looked for
  SR_CHECK(comm.size() == 1, ErrorKind::usage,
           "operators are measured on one device: start `seqrank bench ops` without mpirun");
  RankDevice device(comm, given, rank_threads(comm, given));
  Context& ctx = device.ctx();
  const OpsPlan plan = plan_of(given, ctx.device() == Device::cuda);
  SR_CHECK(ctx.device() == Device::cuda ||
               std::ranges::count(plan.recurrences, RecurrenceKernels::chosen) ==
                   std::ssize(plan.recurrences),
           ErrorKind::usage, "--bench.recurrences={}: a CPU has no choice",
           given.text("bench.recurrences"));
  const OpsBench bench = bench_ops(ctx, plan);
  if (!device.why().empty()) print_out(device.why() + "\n");
  print_bench(bench, plan);
  if (given.has("json")) write_file(given.text("json"), to_json_text(bench, plan, ctx));
  return 0;
}

}  // namespace

Bench ops_bench() {
  return {"ops",
          "operators one by one, in TFLOP/s or GB/s",
          {"seqrank bench ops --bench.ops=attention --bench.lengths=200 --json=ops.json"},
          options,
          dry_run,
          run};
}

}  // namespace seqrank
