// Checkup -> text and JSON.
#include "launch/doctor/report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "launch/doctor/exchange_probe.h"
#include "launch/doctor/rank_table.h"
#include "launch/launcher.h"
#include "launch/memory_size.h"
#include "launch/table.h"

namespace seqrank {
namespace {

using Json = nlohmann::ordered_json;
std::size_t hosts_of(const std::vector<ProcessFacts>& processes) {
  std::set<int> nodes;
  for (const ProcessFacts& facts : processes) nodes.insert(facts.seat.node);
  return nodes.size();
}

std::string plural(std::size_t n, const std::string& thing) {
  return fmt::format("{} {}{}", with_commas(static_cast<std::int64_t>(n)), thing,
                     n == 1 ? "" : "s");
}

std::string versions_text(const ProcessFacts& facts) {
  std::vector<std::string> parts = {"seqrank " + facts.versions.at("seqrank")};
  for (const auto& [library, version] : facts.versions) {
    if (library != "seqrank") parts.push_back(version);
  }
  if (facts.cuda.runtime > 0) parts.push_back(cuda_version(facts.cuda.runtime));
  if (facts.cuda.driver > 0) parts.push_back("driver for " + cuda_version(facts.cuda.driver));
  return fmt::format("{}", fmt::join(parts, ", "));
}

// A line for each kind of device that ranks take, and one for the links between devices.
std::string devices_text(const std::vector<ProcessFacts>& processes) {
  if (!computes_on_cuda(processes)) return "";
  std::map<std::string, std::vector<int>> kinds;
  for (const int rank : all_of(processes.size())) {
    const DeviceFacts& device = *device_of(processes[rank]);
    kinds[fmt::format("{}, {}, compute capability {}", device.name,
                      memory_words(device.memory_bytes), device.capability)]
        .push_back(rank);
  }
  std::string text;
  const std::vector<Seat> seats = seats_of(processes);
  for (const auto& [kind, ranks] : kinds)
    text += fmt::format("device: {} ({})\n", kind, where_words(ranks, seats));
  std::size_t reached = 0, all = 0;
  for (const auto& [first, node] : ranks_by_node(processes)) {
    const std::vector<DeviceFacts>& devices = processes[first].cuda.devices;
    all += devices.size() * (devices.size() - 1);
    for (const DeviceFacts& device : devices) reached += device.peers.size();
  }
  if (all > 0)
    text += fmt::format("peer access: {} of {} pairs of devices of a host\n", reached / 2, all / 2);
  return text;
}

std::string storage_text(const Checkup& checkup) {
  std::string text;
  if (checkup.dataset) {
    const Dataset& data = *checkup.dataset;
    text += fmt::format("data: {}: {} sequences, {} items, {} events, fingerprint {}\n",
                        data.path(), with_commas(data.sequences()), with_commas(data.items()),
                        with_commas(data.events()), data.fingerprint());
  }
  const StorageFacts& facts = checkup.storage.at(0);
  if (facts.run.empty()) return text;
  text += fmt::format("run: {}: {}, {} free", facts.run,
                      plural(static_cast<std::size_t>(facts.checkpoints), "checkpoint"),
                      memory_words(facts.free_bytes));
  if (facts.parameters >= 0) {
    text += fmt::format("; a checkpoint of {} parameters takes {}", with_commas(facts.parameters),
                        memory_words(checkpoint_bytes(facts.saved, checkup.storage.size())));
  }
  if (facts.table_bytes > 0)
    text += fmt::format("\ntables in files: {}: {} of rank 0, {} free", facts.table_folder,
                        memory_words(facts.table_bytes), memory_words(facts.table_free));
  return text + "\n";
}

double middle(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

std::string exchange_text(const Checkup& checkup) {
  std::string text;
  if (checkup.clocks.size() > 1) {
    double apart = 0;
    for (const ClockReading& clock : checkup.clocks)
      apart = std::max(apart, std::abs(clock.ahead) + clock.uncertainty);
    text += fmt::format("clocks: at most {:.2g} s apart\n", apart);
  }
  for (const bool inside : {true, false}) {
    std::vector<double> rates, delays;
    for (const PairRate& pair : checkup.pairs) {
      const bool same =
          checkup.processes[pair.first].seat.node == checkup.processes[pair.second].seat.node;
      if (same != inside) continue;
      rates.push_back(pair.bytes_per_second);
      delays.push_back(pair.seconds_small);
    }
    if (rates.empty()) continue;
    text += fmt::format("exchange {}: 1 MiB each way at {:.3g} GB/s, 8 bytes in {:.3g} us\n",
                        inside ? "on a host" : "between hosts", middle(rates) / 1e9,
                        middle(delays) * 1e6);
  }
  if (checkup.all_reduce_rate > 0)
    text += fmt::format("all-reduce between devices: {} at {:.3g} GB/s (bus bandwidth), by {}\n",
                        memory_words(kAllReduceBytes), checkup.all_reduce_rate / 1e9,
                        option_of(checkup.processes[0], "exchange"));
  return text;
}

Json finding_json(const Finding& finding, const std::vector<Seat>& seats) {
  const bool fails = finding.severity == Severity::error;
  return {{"name", finding.name},
          {"severity", severity_word(finding.severity)},
          {"code", fails ? static_cast<int>(finding.kind) : 0},
          {"ranks", finding.ranks},
          {"line", to_line(finding, seats)}};
}

}  // namespace

std::string checkup_text(const Checkup& checkup) {
  std::string text =
      fmt::format("{} on {}; {}\n\n{}\n{}{}{}\n", plural(checkup.processes.size(), "rank"),
                  plural(hosts_of(checkup.processes), "host"), versions_text(checkup.processes[0]),
                  rank_table(checkup.processes), devices_text(checkup.processes),
                  storage_text(checkup), exchange_text(checkup));
  const std::vector<Seat> seats = seats_of(checkup.processes);
  for (const Finding& finding : checkup.findings)
    text += fmt::format("{}: {}\n", severity_word(finding.severity), to_line(finding, seats));
  if (checkup.findings.empty()) text += "nothing found\n";
  return text;
}

std::string checkup_json(const Checkup& checkup) {
  const std::vector<int> threads = threads_of(checkup.processes);
  const std::vector<Seat> seats = seats_of(checkup.processes);
  const bool on_cuda = computes_on_cuda(checkup.processes);
  Json ranks = Json::array(), pairs = Json::array(), findings = Json::array();
  for (std::size_t rank = 0; rank < checkup.processes.size(); ++rank) {
    const ClockReading& clock = checkup.clocks.at(rank);
    Json json = {{"rank", rank},
                 {"threads", threads[rank]},
                 {"device", on_cuda ? device_of(checkup.processes[rank])->pci : "CPU"},
                 {"clock", {{"ahead_s", clock.ahead}, {"uncertainty_s", clock.uncertainty}}}};
    json.update(Json(checkup.processes[rank]));
    json.update(Json(checkup.storage.at(rank)));
    ranks.push_back(std::move(json));
  }
  for (const PairRate& pair : checkup.pairs)
    pairs.push_back({{"ranks", {pair.first, pair.second}},
                     {"seconds_8_bytes", pair.seconds_small},
                     {"bytes_per_s", pair.bytes_per_second}});
  for (const Finding& finding : checkup.findings) findings.push_back(finding_json(finding, seats));
  const Json json = {{"findings", findings},
                     {"exchange", pairs},
                     {"all_reduce_bytes_per_s", checkup.all_reduce_rate},
                     {"ranks", ranks}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

bool speaks(const Communicator& comm) {
  return comm.rank() == 0 && (comm.size() > 1 || launcher_rank() == 0);
}

int tell_findings(const Checkup& checkup, const Communicator& comm) {
  const std::vector<Seat> seats = seats_of(checkup.processes);
  for (const Finding& finding : checkup.findings) {
    if (!speaks(comm) || finding.severity == Severity::note) continue;
    const char* who = finding.severity == Severity::error ? "seqrank" : "warning";
    std::fputs(fmt::format("{}: {}\n", who, to_line(finding, seats)).c_str(), stderr);
  }
  return exit_code(checkup.findings);
}

}  // namespace seqrank
