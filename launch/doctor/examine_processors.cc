// Cores and processors of each node against the ranks on it.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "launch/doctor/examine.h"

namespace seqrank {
namespace {

bool within(const std::vector<int>& part, const std::vector<int>& whole) {
  return std::includes(whole.begin(), whole.end(), part.begin(), part.end());
}

// Ranks that can run nowhere but on one set of cores.
struct Crowd {
  std::vector<int> cores, ranks;
  std::set<int> processors;
  std::int64_t threads = 0;
};

// For each set of cores that some rank of the node is bound to: who has no others. Smallest first.
std::vector<Crowd> crowds(const std::vector<ProcessFacts>& processes, const std::vector<int>& node,
                          const std::vector<int>& threads) {
  std::vector<Crowd> result;
  std::set<std::vector<int>> seen;
  for (const int owner : node) {
    const std::vector<int>& cores = processes[owner].seat.cores;
    if (!seen.insert(cores).second) continue;
    Crowd& crowd = result.emplace_back();
    crowd.cores = cores;
    for (const int rank : node) {
      const Seat& seat = processes[rank].seat;
      if (!within(seat.cores, cores)) continue;
      crowd.ranks.push_back(rank);
      crowd.processors.insert(seat.processors.begin(), seat.processors.end());
      crowd.threads += threads[rank];
    }
  }
  std::stable_sort(result.begin(), result.end(),
                   [](const Crowd& a, const Crowd& b) { return a.cores.size() < b.cores.size(); });
  return result;
}

Finding too_few_cores(const Crowd& crowd, const ProcessFacts& facts) {
  const bool could_have_more = facts.launcher_processors.size() > crowd.processors.size();
  const std::string advice =
      could_have_more
          ? "they are bound there: pass --bind-to none to mpirun, or --cpus-per-task to srun"
          : fmt::format("start {} on a host like this, or give the job more cores",
                        count(crowd.cores.size(), "rank"));
  return {
      "two-ranks-one-core",
      Severity::warning,
      ErrorKind::usage,
      fmt::format("{} on {}", count(crowd.ranks.size(), "rank"), count(crowd.cores.size(), "core")),
      advice,
      crowd.ranks};
}

Finding too_many_threads(const Crowd& crowd) {
  const std::size_t processors = crowd.processors.size();
  return {"threads",
          Severity::warning,
          ErrorKind::usage,
          fmt::format("{} on {}", count(static_cast<std::size_t>(crowd.threads), "compute thread"),
                      count(processors, "processor")),
          fmt::format("pass --threads={}, or let the ranks have more processors (mpirun --bind-to "
                      "none, srun --cpus-per-task)",
                      std::max<std::size_t>(1, processors / crowd.ranks.size())),
          crowd.ranks};
}

// mpirun binds each of one or two ranks to a single core; a thread count that was not asked for
// then leaves most of the host idle. srun binds to what the job was given: not a mistake.
void examine_idle(const std::vector<ProcessFacts>& processes, const std::vector<int>& node,
                  std::vector<Finding>& findings) {
  const ProcessFacts& facts = processes[node[0]];
  if (facts.claim.launcher.find("mpirun") == std::string::npos || facts.threads > 0) return;
  std::set<int> used;
  for (const int rank : node) {
    const std::vector<int>& own = processes[rank].seat.processors;
    used.insert(own.begin(), own.end());
  }
  const std::size_t held = facts.launcher_processors.size();
  if (used.size() * 2 > held) return;
  findings.push_back(
      {"idle-processors", Severity::warning, ErrorKind::usage,
       fmt::format("bound to {} of the {} that mpirun may use on the host", used.size(),
                   count(held, "processor")),
       "pass --bind-to none to mpirun, and each rank computes with its share of them", node});
}

}  // namespace

std::vector<Finding> examine_processors(const std::vector<ProcessFacts>& processes) {
  const std::vector<int> threads = threads_of(processes);
  std::vector<Finding> findings;
  for (const auto& [first, node] : ranks_by_node(processes)) {
    std::set<int> told;  // a crowd inside a larger one is told once
    for (const Crowd& crowd : crowds(processes, node, threads)) {
      const bool cramped = crowd.ranks.size() > crowd.cores.size();
      const bool busy = crowd.threads > static_cast<std::int64_t>(crowd.processors.size());
      if (!cramped && !busy) continue;
      if (std::any_of(crowd.ranks.begin(), crowd.ranks.end(),
                      [&](int rank) { return told.contains(rank); }))
        continue;
      told.insert(crowd.ranks.begin(), crowd.ranks.end());
      findings.push_back(cramped ? too_few_cores(crowd, processes[crowd.ranks[0]])
                                 : too_many_threads(crowd));
    }
    if (told.empty()) examine_idle(processes, node, findings);  // else from the same binding
  }
  return merged(findings);
}

}  // namespace seqrank
