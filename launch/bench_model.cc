// seqrank bench model: fits the model of trainer/scaling_model.h to some runs of `bench scaling`,
// says how far it is off on others, and what it makes of clusters. Measures nothing.
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "backend/check.h"
#include "collective/communicator.h"
#include "launch/bench.h"
#include "launch/list.h"
#include "launch/output.h"
#include "launch/report.h"
#include "launch/scaling_json.h"
#include "launch/table.h"
#include "models/ini_file.h"
#include "trainer/bench_runner.h"
#include "trainer/scaling_forecast.h"

namespace seqrank {
namespace {

using Json = nlohmann::ordered_json;
using Rows = std::vector<std::vector<std::string>>;

std::vector<OptionSpec> options() {
  return {{"fit", OptionKind::text, "",
           "files of `bench scaling --json` to fit to: several widths and rates: a.json,b.json"},
          {"check", OptionKind::text, "", "files whose points are held out: c.json,d.json"},
          {"figures", OptionKind::text, "",
           "INI file of devices and links, for more devices than were measured"},
          {"devices", OptionKind::text, "8,64,512,4096", "how many of them"},
          json_option()};
}

// One width at one link: what was measured, overlapped and in turn, on as many ranks as there were.
struct Case {
  std::string path;
  bool held_out;
  Link link;
  const ScalingAtWidth* at;
  const ScalingPoint* overlapped;
  const ScalingPoint* in_turn;
};

const ScalingPoint* find_point(const ScalingAtWidth& at, bool overlap) {
  const auto found = std::find_if(at.points.rbegin(), at.points.rend(), [&](const auto& point) {
    return point.load == Load::weak && point.overlap == overlap;
  });
  return found == at.points.rend() ? nullptr : &*found;
}

std::vector<RecordedScaling> read_files(const Options& given, const std::string& key) {
  std::vector<RecordedScaling> files;
  for (const std::string& path : split_list(key, given.text(key)))
    files.push_back(read_scaling_json(path));
  return files;
}

void add_cases(std::vector<Case>& cases, const std::vector<RecordedScaling>& files, bool held_out) {
  for (const RecordedScaling& file : files) {
    for (const ScalingAtWidth& at : file.bench.widths) {
      const Case made{
          file.path, held_out, file.link, &at, find_point(at, true), find_point(at, false)};
      SR_CHECK(made.overlapped && made.in_turn && !at.trace.entries.empty(), ErrorKind::data,
               "{}: holds no weak scaling over two or more ranks at width {}; record it with "
               "mpirun -np 2 seqrank bench scaling",
               file.path, at.width);
      cases.push_back(made);
    }
  }
}

NetworkModel fit(const std::vector<Case>& cases) {
  std::vector<MeasuredCall> calls;
  std::vector<MeasuredStep> steps;
  for (const Case& one : cases) {
    if (one.held_out) continue;
    const int ranks = one.in_turn->ranks;
    for (const StepCall& call : one.in_turn->calls)
      calls.push_back({one.link, ranks, call.operation, call.bytes, call.seconds});
    steps.push_back({one.link, ranks, one.at->trace, median(one.overlapped->step_seconds)});
  }
  NetworkModel model = fit_network(calls);
  model.compute_speed = fit_compute_speed(model, steps);
  return model;
}

// Seconds.
struct Compared {
  const Case* one;
  const char* what;
  double measured, modelled;

  double error() const { return modelled / measured - 1; }
};

std::vector<Compared> compare(const std::vector<Case>& cases, const NetworkModel& model) {
  std::vector<Compared> compared;
  for (const Case& one : cases) {
    const int ranks = one.in_turn->ranks;
    const PlayedStep in_turn = play_in_turn(one.at->trace, model, one.link, ranks);
    const PlayedStep overlapped = play_overlapped(one.at->trace, model, one.link, ranks);
    compared.push_back(
        {&one, "communication", median(one.in_turn->exposed_seconds), in_turn.exposed_seconds});
    compared.push_back({&one, "step in turn", median(one.in_turn->step_seconds), in_turn.seconds});
    compared.push_back(
        {&one, "step overlapped", median(one.overlapped->step_seconds), overlapped.seconds});
  }
  return compared;
}

double largest_error(const std::vector<Compared>& compared, bool held_out) {
  double largest = 0;
  for (const Compared& c : compared)
    if (c.one->held_out == held_out) largest = std::max(largest, std::abs(c.error()));
  return largest;
}

void print_compared(const std::vector<Compared>& compared, bool held_out) {
  Rows rows;
  for (const Compared& c : compared) {
    if (c.one->held_out != held_out) continue;
    rows.push_back({fmt::format("{:g} Gbit/s, {:g} ms", 1e-9 * c.one->link.bits_per_s,
                                1e3 * c.one->link.delay_seconds),
                    fmt::format("{}", c.one->in_turn->ranks), fmt::format("{}", c.one->at->width),
                    c.what, fmt::format("{:.2f}", 1e3 * c.measured),
                    fmt::format("{:.2f}", 1e3 * c.modelled),
                    fmt::format("{:+.1f} %", 100 * c.error())});
  }
  if (rows.empty()) return;
  print_out(fmt::format("\n{}; largest error {:.1f} %\n",
                        held_out ? "held out: not fitted to" : "fitted to",
                        100 * largest_error(compared, held_out)));
  print_out(format_table({"link", "ranks", "width", "", "measured, ms", "modelled, ms", "error"},
                         rows, {0, 3}));
}

void print_model(const NetworkModel& model) {
  print_out(fmt::format(
      "a message takes {:.1f} us and the delay of its link; bytes go at {:.1f} % of the link's "
      "rate,\nand take {:.3f} ns each besides; compute goes on at {:.1f} % of its speed "
      "meanwhile\n",
      1e6 * model.message_seconds, 100 * model.link_share, 1e9 * model.byte_seconds,
      100 * model.compute_speed));
}

Json model_json(const NetworkModel& model) {
  return {{"message_seconds", model.message_seconds},
          {"link_share", model.link_share},
          {"byte_seconds", model.byte_seconds},
          {"compute_speed", model.compute_speed}};
}

Json compared_json(const std::vector<Compared>& compared) {
  Json json = Json::array();
  for (const Compared& c : compared) {
    json.push_back({{"held_out", c.one->held_out},
                    {"gbit", 1e-9 * c.one->link.bits_per_s},
                    {"ms", 1e3 * c.one->link.delay_seconds},
                    {"ranks", c.one->in_turn->ranks},
                    {"width", c.one->at->width},
                    {"what", c.what},
                    {"measured", c.measured},
                    {"modelled", c.modelled},
                    {"error", c.error()}});
  }
  return json;
}

Cluster read_cluster(const std::string& path) {
  Options figures(cluster_options());
  for (const IniEntry& entry : read_ini(path)) figures.set(entry.key, entry.value, entry.where);
  return cluster_of(figures);
}

std::vector<int> devices_of(const Options& given) {
  std::vector<int> devices;
  Options one({{"devices", OptionKind::integer, "", "", "1..1000000"}});
  for (const std::string& text : split_list("devices", given.text("devices"))) {
    one.set("devices", text, "--devices");
    devices.push_back(static_cast<int>(one.integer("devices")));
  }
  return devices;
}

std::vector<Forecast> forecasts_of(const Options& given, const RecordedScaling& of) {
  std::vector<Forecast> forecasts;
  if (!given.has("figures")) return forecasts;
  const Cluster cluster = read_cluster(given.text("figures"));
  for (const int devices : devices_of(given))
    forecasts.push_back(forecast(cluster, of.bench.widths.back(), of.bench.items, devices));
  return forecasts;
}

void print_forecasts(const std::vector<Forecast>& forecasts, const Options& given,
                     std::int64_t width) {
  if (forecasts.empty()) return;
  print_out(fmt::format("\nmodelled, not measured: width {} on the devices and links of {}\n",
                        width, given.text("figures")));
  Rows rows;
  for (const Forecast& f : forecasts) {
    rows.push_back({fmt::format("{}", f.devices), fmt::format("{}", f.nodes),
                    fmt::format("{:.3f}", 1e3 * f.step_seconds),
                    fmt::format("{:.3f}", 1e3 * f.compute_seconds),
                    fmt::format("{:.3f}", 1e3 * f.communication_seconds),
                    fmt::format("{:.3f}", 1e3 * f.exposed_seconds),
                    fmt::format("{:.1f} %", 100 * f.efficiency),
                    with_commas(static_cast<std::int64_t>(f.events_per_s))});
  }
  print_out(format_table({"devices", "nodes", "step, ms", "compute", "communication", "exposed",
                          "efficiency", "events/s"},
                         rows));
}

Json forecasts_json(const std::vector<Forecast>& forecasts) {
  Json json = Json::array();
  for (const Forecast& f : forecasts) {
    json.push_back({{"devices", f.devices},
                    {"nodes", f.nodes},
                    {"step_seconds", f.step_seconds},
                    {"compute_seconds", f.compute_seconds},
                    {"communication_seconds", f.communication_seconds},
                    {"exposed_seconds", f.exposed_seconds},
                    {"efficiency", f.efficiency},
                    {"events_per_s", f.events_per_s}});
  }
  return json;
}

void check(const Options& given) {
  SR_CHECK(given.has("fit"), ErrorKind::usage,
           "--fit is missing: files that `seqrank bench scaling --json` wrote");
}

void dry_run(const Options& given) {
  check(given);
  print_out(fmt::format("would fit to {} runs and check with {}\n", read_files(given, "fit").size(),
                        read_files(given, "check").size()));
}

int run(const Options& given, Communicator& comm) {
  if (comm.rank() != 0) return 0;
  check(given);
  const std::vector<RecordedScaling> fitted = read_files(given, "fit");
  const std::vector<RecordedScaling> held_out = read_files(given, "check");
  std::vector<Case> cases;
  add_cases(cases, fitted, false);
  add_cases(cases, held_out, true);
  const NetworkModel model = fit(cases);
  const std::vector<Compared> compared = compare(cases, model);
  const RecordedScaling& last = held_out.empty() ? fitted.back() : held_out.back();
  const std::vector<Forecast> forecasts = forecasts_of(given, last);
  print_model(model);
  print_compared(compared, false);
  print_compared(compared, true);
  print_forecasts(forecasts, given, last.bench.widths.back().width);
  if (!given.has("json")) return 0;
  const Json json = {{"bench", "model"},
                     {"model", model_json(model)},
                     {"points", compared_json(compared)},
                     {"largest_error_fitted", largest_error(compared, false)},
                     {"largest_error_held_out", largest_error(compared, true)},
                     {"forecast_width", last.bench.widths.back().width},
                     {"forecasts_modelled", forecasts_json(forecasts)}};
  write_file(given.text("json"), json.dump(1) + "\n");
  return 0;
}

}  // namespace

Bench model_bench() {
  return {"model",
          "of time on the network, fitted to runs of `scaling` and checked on others",
          {"seqrank bench model --fit=1gbit.json,2gbit.json --check=half.json "
           "--figures=launch/configs/h100.ini"},
          options,
          dry_run,
          run};
}

}  // namespace seqrank
