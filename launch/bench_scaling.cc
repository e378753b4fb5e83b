// seqrank bench scaling: how well training scales over ranks and hosts. Shows what
// trainer/bench_scaling.h measured; bench_model.cc reads the JSON again.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "backend/check.h"
#include "collective/communicator.h"
#include "launch/bench.h"
#include "launch/gnuplot.h"
#include "launch/list.h"
#include "launch/memory_size.h"
#include "launch/output.h"
#include "launch/ranks.h"
#include "launch/report.h"
#include "launch/scaling_chart.h"
#include "launch/scaling_json.h"
#include "launch/table.h"
#include "trainer/bench_runner.h"
#include "trainer/bench_scaling.h"

namespace seqrank {
namespace {

using Rows = std::vector<std::vector<std::string>>;

std::vector<OptionSpec> options() {
  std::vector<OptionSpec> specs = training_bench_options();
  for (OptionSpec& spec : bench_scaling_options()) specs.push_back(spec);
  specs.push_back({"bench.widths", OptionKind::text, "",
                   "measure at each of these values of model.width: 64,128; empty: as it is"});
  specs.push_back({"bench.link_gbit", OptionKind::real, "0",
                   "label for `bench model`: Gbit/s between two hosts; 0: unknown", "0.."});
  specs.push_back({"bench.link_ms", OptionKind::real, "0",
                   "label for `bench model`: milliseconds from one host to another", "0.."});
  specs.push_back(json_option());
  specs.push_back({"svg", OptionKind::text, "", "also draw efficiency over ranks to this file"});
  return specs;
}

std::vector<std::int64_t> widths_of(const Options& given) {
  if (!given.has("bench.widths")) return {given.integer("model.width")};
  std::vector<std::int64_t> widths;
  for (const std::string& text : split_list("bench.widths", given.text("bench.widths"))) {
    Options one = given;
    one.set("model.width", text, "--bench.widths");
    widths.push_back(one.integer("model.width"));
  }
  return widths;
}

// More ranks than cores would measure how they take turns.
void check_cores(const std::vector<Seat>& seats, int threads) {
  for (const Seat& first : seats) {
    if (first.local_rank != 0) continue;
    std::vector<int> cores;
    int ranks = 0;
    for (const Seat& seat : seats) {
      if (seat.node != first.node) continue;
      cores.insert(cores.end(), seat.cores.begin(), seat.cores.end());
      ++ranks;
    }
    std::ranges::sort(cores);
    cores.erase(std::ranges::unique(cores).begin(), cores.end());
    SR_CHECK(
        ranks * threads <= static_cast<int>(cores.size()), ErrorKind::usage,
        "{} ranks of {} thread{} on host {}, where they may use {} core{}: scaling is measured "
        "with a core for each; start fewer ranks, or give --threads=1",
        ranks, threads, threads == 1 ? "" : "s", first.host, cores.size(),
        cores.size() == 1 ? "" : "s");
  }
}

std::string percent(double share) {
  return fmt::format("{:.1f} %", 100 * share);
}

// "92.1 % (90.0 to 93.5)"
std::string with_range(const std::vector<double>& values) {
  if (values.empty()) return "";
  const Spread spread = spread_of(values);
  return fmt::format("{:.1f} % ({:.1f} to {:.1f})", 100 * spread.median, 100 * spread.least,
                     100 * spread.most);
}

std::vector<std::string> row_of(const ScalingPoint& point) {
  const bool exchanges = point.load == Load::weak || point.load == Load::strong;
  return {load_name(point.load),
          fmt::format("{}", point.ranks),
          fmt::format("{}", point.hosts),
          !exchanges      ? ""
          : point.overlap ? "yes"
                          : "no",
          with_commas(static_cast<std::int64_t>(median(point.events_per_s))),
          with_range(point.efficiencies),
          fmt::format("{:.2f}", 1e3 * median(point.step_seconds)),
          percent(point.shares.compute),
          percent(point.shares.exposed),
          percent(point.shares.input),
          percent(point.shares.idle),
          with_range(point.hidden_shares),
          memory_words(point.peak_bytes)};
}

// Calls that are alike in operation and size as one line.
Rows rows_of_calls(const std::vector<StepCall>& calls) {
  Rows rows;
  for (std::size_t i = 0; i < calls.size();) {
    std::size_t end = i;
    double seconds = 0;
    for (; end < calls.size() && calls[end].operation == calls[i].operation &&
           calls[end].bytes == calls[i].bytes;
         ++end)
      seconds += calls[end].seconds;
    const double count = static_cast<double>(end - i);
    rows.push_back({calls[i].operation, fmt::format("{}", end - i),
                    with_commas(static_cast<std::int64_t>(calls[i].bytes)),
                    fmt::format("{:.3f}", 1e3 * seconds / count),
                    fmt::format("{:.3f}", 1e-9 * count * calls[i].bus_bytes_per_s *
                                              calls[i].seconds / seconds),
                    calls[i].algorithm});
    i = end;
  }
  return rows;
}

void print_width(const ScalingAtWidth& at) {
  if (!at.precision_note.empty()) print_out(at.precision_note + "\n");
  print_out(fmt::format(
      "\nwidth {}: {} parameters, {} events of a rank in a step, {:.1f} MFLOP an event\n", at.width,
      with_commas(at.parameters), with_commas(static_cast<std::int64_t>(at.events_per_rank)),
      1e-6 * at.flops_per_event));
  Rows rows;
  for (const ScalingPoint& point : at.points) rows.push_back(row_of(point));
  print_out(format_table({"load", "ranks", "hosts", "overlap", "events/s", "efficiency", "step, ms",
                          "compute", "exposed", "input", "idle", "hidden", "peak memory"},
                         rows));
  const auto in_turn = std::find_if(at.points.rbegin(), at.points.rend(), [](const auto& point) {
    return !point.overlap && !point.calls.empty();
  });
  if (in_turn == at.points.rend()) return;
  print_out(fmt::format("\ncalls of a step on {} ranks, {}, in turn\n", in_turn->ranks,
                        load_name(in_turn->load)));
  print_out(format_table({"operation", "calls", "bytes", "ms", "bus GB/s", "algorithm"},
                         rows_of_calls(in_turn->calls), {0, 5}));
}

void print_bench(const ScalingBench& bench, int threads) {
  print_out(fmt::format(
      "{} repeats of {} steps, {} thread{} a rank; medians, and ranges over repeats\n"
      "efficiency: events/s over ranks times those of one rank, repeat by repeat\n"
      "exposed: compute stood still for communication; idle: it waited for slower ranks\n",
      bench.repeats, bench.steps, threads, threads == 1 ? "" : "s"));
  for (const ScalingAtWidth& at : bench.widths) print_width(at);
}

void check(const Options& given) {
  check_training_bench(given);
  widths_of(given);
  if (given.has("svg")) check_gnuplot();
}

void dry_run(const Options& given) {
  check(given);
  const Dataset dataset = Dataset::open(given.text("data"));
  print_out(fmt::format("would measure how training of {} on {} scales\n", given.text("model.name"),
                        dataset.path()));
}

int run(const Options& given, Communicator& comm) {
  check(given);
  const Dataset dataset = Dataset::open(given.text("data"));
  const std::vector<Seat> seats = all_seats(comm);
  const int threads = rank_threads(comm, given);
  check_cores(seats, threads);
  std::vector<int> node_of;
  for (const Seat& seat : seats) node_of.push_back(seat.node);
  const ScalingBench bench =
      bench_scaling(comm, node_of, threads, dataset, given, widths_of(given));
  if (comm.rank() != 0) return 0;
  print_bench(bench, threads);
  if (given.has("json"))
    write_file(given.text("json"), scaling_json(bench, threads, given).dump(1) + "\n");
  if (given.has("svg")) draw_scaling(bench, given.text("svg"));
  return 0;
}

}  // namespace

Bench scaling_bench() {
  return {"scaling",
          "1, 2, 4, ... ranks and whole hosts, with and without overlap",
          {"mpirun -np 2 --bind-to none seqrank bench scaling --data=ml-1m.h5 --json=scaling.json "
           "--svg=scaling.svg"},
          options,
          dry_run,
          run};
}

}  // namespace seqrank
