// One struct, one object; spreads are added for people and not read again.
#include "launch/scaling_json.h"

#include <fstream>
#include <nlohmann/json.hpp>

#include "backend/check.h"

namespace seqrank {
namespace {

using Json = nlohmann::ordered_json;

Json spread_json(const std::vector<double>& values) {
  const Spread spread = spread_of(values);
  return {{"median", spread.median}, {"least", spread.least}, {"most", spread.most}};
}

Json call_json(const StepCall& call) {
  return {{"operation", call.operation},
          {"algorithm", call.algorithm},
          {"bytes", call.bytes},
          {"seconds", call.seconds},
          {"bus_bytes_per_s", call.bus_bytes_per_s}};
}

StepCall read_call(const Json& json) {
  return {json.at("operation"), json.at("algorithm"), json.at("bytes"), json.at("seconds"),
          json.at("bus_bytes_per_s")};
}

Json point_json(const ScalingPoint& point) {
  Json json = {{"load", load_name(point.load)},
               {"ranks", point.ranks},
               {"hosts", point.hosts},
               {"overlap", point.overlap},
               {"events_per_s", point.events_per_s},
               {"efficiencies", point.efficiencies},
               {"efficiency", spread_json(point.efficiencies)},
               {"step_seconds", point.step_seconds},
               {"exposed_seconds", point.exposed_seconds},
               {"shares",
                {{"compute", point.shares.compute},
                 {"exposed", point.shares.exposed},
                 {"input", point.shares.input},
                 {"idle", point.shares.idle}}},
               {"peak_bytes", point.peak_bytes},
               {"calls", Json::array()}};
  if (!point.hidden_shares.empty()) {
    json["hidden_shares"] = point.hidden_shares;
    json["hidden_share"] = spread_json(point.hidden_shares);
  }
  for (const StepCall& call : point.calls) json["calls"].push_back(call_json(call));
  return json;
}

Load read_load(const std::string& name) {
  for (const Load load : {Load::one, Load::weak, Load::strong, Load::apart})
    if (name == load_name(load)) return load;
  throw Error(ErrorKind::usage, fmt::format("no load is called '{}'", name));
}

ScalingPoint read_point(const Json& json) {
  ScalingPoint point;
  point.load = read_load(json.at("load"));
  json.at("ranks").get_to(point.ranks);
  json.at("hosts").get_to(point.hosts);
  json.at("overlap").get_to(point.overlap);
  json.at("events_per_s").get_to(point.events_per_s);
  json.at("efficiencies").get_to(point.efficiencies);
  json.at("step_seconds").get_to(point.step_seconds);
  json.at("exposed_seconds").get_to(point.exposed_seconds);
  const Json& shares = json.at("shares");
  point.shares = {shares.at("compute"), shares.at("exposed"), shares.at("input"),
                  shares.at("idle")};
  json.at("peak_bytes").get_to(point.peak_bytes);
  if (json.contains("hidden_shares")) json.at("hidden_shares").get_to(point.hidden_shares);
  for (const Json& call : json.at("calls")) point.calls.push_back(read_call(call));
  return point;
}

Json trace_json(const StepTrace& trace) {
  Json json = {{"seconds", trace.seconds}, {"entries", Json::array()}};
  for (const TraceEntry& entry : trace.entries) {
    json["entries"].push_back({{"at", entry.at},
                               {"operation", entry.operation},
                               {"call", entry.call},
                               {"bytes", entry.bytes}});
  }
  return json;
}

StepTrace read_trace(const Json& json) {
  StepTrace trace;
  json.at("seconds").get_to(trace.seconds);
  for (const Json& entry : json.at("entries")) {
    trace.entries.push_back(
        {entry.at("at"), entry.at("operation"), entry.at("call"), entry.at("bytes")});
  }
  return trace;
}

ScalingAtWidth read_width(const Json& json) {
  ScalingAtWidth at;
  json.at("width").get_to(at.width);
  json.at("parameters").get_to(at.parameters);
  json.at("flops_per_event").get_to(at.flops_per_event);
  json.at("events_per_rank").get_to(at.events_per_rank);
  for (const Json& point : json.at("points")) at.points.push_back(read_point(point));
  at.trace = read_trace(json.at("trace"));
  return at;
}

}  // namespace

Json scaling_json(const ScalingBench& bench, int threads, const Options& given) {
  Json json = {
      {"bench", "scaling"},
      {"data", given.text("data")},
      {"model", given.text("model.name")},
      {"threads", threads},
      {"steps", bench.steps},
      {"repeats", bench.repeats},
      {"items", bench.items},
      {"link", {{"gbit", given.real("bench.link_gbit")}, {"ms", given.real("bench.link_ms")}}},
      {"widths", Json::array()}};
  for (const ScalingAtWidth& at : bench.widths) {
    Json width = {{"width", at.width},
                  {"parameters", at.parameters},
                  {"flops_per_event", at.flops_per_event},
                  {"events_per_rank", at.events_per_rank},
                  {"points", Json::array()},
                  {"trace", trace_json(at.trace)}};
    for (const ScalingPoint& point : at.points) width["points"].push_back(point_json(point));
    json["widths"].push_back(width);
  }
  return json;
}

RecordedScaling read_scaling_json(const std::string& path) {
  std::ifstream file(path);
  SR_CHECK(file.good(), ErrorKind::data, "{}: cannot be opened", path);
  try {
    const Json json = Json::parse(file);
    SR_CHECK(json.at("bench") == "scaling", ErrorKind::data, "{}: is of `bench {}`", path,
             json.at("bench").get<std::string>());
    RecordedScaling recorded;
    recorded.path = path;
    recorded.link = {1e9 * json.at("link").at("gbit").get<double>(),
                     1e-3 * json.at("link").at("ms").get<double>()};
    json.at("steps").get_to(recorded.bench.steps);
    json.at("repeats").get_to(recorded.bench.repeats);
    json.at("items").get_to(recorded.bench.items);
    for (const Json& at : json.at("widths")) recorded.bench.widths.push_back(read_width(at));
    return recorded;
  } catch (const nlohmann::json::exception& error) {
    throw Error(
        ErrorKind::data,
        fmt::format("{}: not what `seqrank bench scaling --json` writes: {}", path, error.what()));
  }
}

}  // namespace seqrank
