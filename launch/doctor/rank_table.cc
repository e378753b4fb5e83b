// Rows are merged in three steps, until they fit: ranks that are alike, ranks of a host, hosts that
// are alike.
#include "launch/doctor/rank_table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <set>

#include "launch/doctor/finding.h"
#include "launch/table.h"

namespace seqrank {
namespace {

using Row = std::vector<std::string>;

constexpr std::size_t kRows = 24;  // of a screen, beside what else is on it
constexpr std::size_t kNamed = 3;  // hosts or devices in a cell

std::string few(const std::set<std::string>& names, const std::string& things) {
  if (names.size() <= kNamed) return fmt::format("{}", fmt::join(names, ", "));
  return fmt::format("{} {}: {}, ...", names.size(), things,
                     fmt::join(names.begin(), std::next(names.begin(), kNamed), ", "));
}

std::string span(const std::vector<int>& values) {
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  return *least == *most ? fmt::to_string(*least) : fmt::format("{}-{}", *least, *most);
}

std::vector<int> rising(std::vector<int> values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return values;
}

// "2 (0-1)"; of ranks with cores of their own "1 each (0-63)".
std::string cores_cell(const std::vector<ProcessFacts>& processes, const std::vector<int>& ranks) {
  std::vector<int> cores, processors;
  bool alike = true;
  for (const int rank : ranks) {
    const Seat& seat = processes[rank].seat;
    cores.push_back(static_cast<int>(seat.cores.size()));
    processors.insert(processors.end(), seat.processors.begin(), seat.processors.end());
    alike = alike && seat.processors == processes[ranks[0]].seat.processors;
  }
  return fmt::format("{}{} ({})", span(cores), alike ? "" : " each", ranges(rising(processors)));
}

// What each rank computes on.
std::vector<std::string> devices_of(const std::vector<ProcessFacts>& processes) {
  const bool on_cuda = computes_on_cuda(processes);
  std::vector<std::string> devices;
  for (const ProcessFacts& facts : processes)
    devices.push_back(on_cuda ? device_of(facts)->pci : "CPU");
  return devices;
}

// Without the ranks' numbers and hosts, which differ between rows that are alike.
Row cells(const std::vector<ProcessFacts>& processes, const std::vector<int>& threads,
          const std::vector<std::string>& devices, const std::vector<int>& ranks) {
  std::vector<int> local, of_ranks;
  std::set<std::string> of_row;
  for (const int rank : ranks) {
    local.push_back(processes[rank].seat.local_rank);
    of_ranks.push_back(threads[rank]);
    of_row.insert(devices[rank]);
  }
  return {ranges(rising(local)), cores_cell(processes, ranks), span(of_ranks),
          few(of_row, "devices")};
}

using Groups = std::vector<std::vector<int>>;

// Ranks with the same key, in the order of their first.
Groups group(std::size_t ranks, const std::function<std::string(int)>& key) {
  std::vector<std::string> keys;
  Groups groups;
  for (const int rank : all_of(ranks)) {
    const std::string own = key(rank);
    const auto known = std::find(keys.begin(), keys.end(), own) - keys.begin();
    if (known == static_cast<std::ptrdiff_t>(keys.size())) {
      keys.push_back(own);
      groups.emplace_back();
    }
    groups[known].push_back(rank);
  }
  return groups;
}

Groups rows_that_fit(const std::vector<ProcessFacts>& processes, const std::vector<int>& threads,
                     const std::vector<std::string>& devices) {
  const auto text = [&](const std::vector<int>& ranks) {
    return fmt::format("{}", fmt::join(cells(processes, threads, devices, ranks), "|"));
  };
  Groups groups = group(processes.size(), [&](int rank) {
    const Seat& seat = processes[rank].seat;
    return fmt::format("{}|{}|{}|{}", seat.node, fmt::join(seat.processors, ","), threads[rank],
                       devices[rank]);
  });
  if (groups.size() <= kRows) return groups;
  groups =
      group(processes.size(), [&](int rank) { return fmt::to_string(processes[rank].seat.node); });
  if (groups.size() <= kRows) return groups;
  std::vector<std::string> shape(processes.size());
  for (const std::vector<int>& ranks : groups) {
    const std::string own = text(ranks);
    for (const int rank : ranks) shape[rank] = own;
  }
  return group(processes.size(), [&](int rank) { return shape[rank]; });
}

}  // namespace

std::string rank_table(const std::vector<ProcessFacts>& processes) {
  const std::vector<int> threads = threads_of(processes);
  const std::vector<std::string> devices = devices_of(processes);
  const Groups groups = rows_that_fit(processes, threads, devices);
  std::vector<Row> rows;
  for (const std::vector<int>& ranks : groups) {
    if (rows.size() == kRows) break;
    std::set<std::string> hosts;
    for (const int rank : ranks) hosts.insert(processes[rank].seat.host);
    Row row = {ranges(ranks), few(hosts, "hosts")};
    for (std::string& cell : cells(processes, threads, devices, ranks))
      row.push_back(std::move(cell));
    rows.push_back(std::move(row));
  }
  std::string table =
      format_table({"rank", "host", "local rank", "cores (processors)", "threads", "device"}, rows,
                   {0, 1, 3, 5});
  if (rows.size() < groups.size())
    table += fmt::format("... and {} more rows; --json=FILE tells of every rank\n",
                         groups.size() - rows.size());
  return table;
}

}  // namespace seqrank
