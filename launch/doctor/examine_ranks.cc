// The world, the program and its configuration.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>

#include "launch/doctor/examine.h"

namespace seqrank {
namespace {

constexpr std::size_t kKeysNamed = 4;

std::string right_line(int ranks, const std::string& command, const std::string& mpi) {
  return fmt::format(
      "this program is linked with {}: start it with that library's mpirun -np {} --bind-to none "
      "seqrank {} ..., or under Slurm with srun --mpi=pmix --ntasks={} seqrank {} ...",
      mpi.empty() ? "another MPI" : mpi, ranks, command, ranks, command);
}

std::string mpi_of(const ProcessFacts& facts) {
  const auto found = facts.versions.find("MPI");
  return found == facts.versions.end() ? "" : found->second;
}

// The value that most ranks have, of equals the one of the lowest rank.
std::string usual(const std::vector<std::string>& values) {
  std::map<std::string, int> count;
  for (const std::string& value : values) ++count[value];
  std::string best = values.at(0);
  for (const std::string& value : values) {
    if (count[value] > count[best]) best = value;
  }
  return best;
}

struct Odd {
  std::string usual;
  std::string other;       // of the first rank that differs
  std::vector<int> ranks;  // that differ
};

Odd odd_ones(const std::vector<std::string>& values) {
  Odd odd{usual(values), "", {}};
  for (std::size_t rank = 0; rank < values.size(); ++rank) {
    if (values[rank] == odd.usual) continue;
    if (odd.ranks.empty()) odd.other = values[rank];
    odd.ranks.push_back(static_cast<int>(rank));
  }
  return odd;
}

template <class Value>
std::vector<std::string> values_of(const std::vector<ProcessFacts>& processes, Value&& value) {
  std::vector<std::string> values;
  for (const ProcessFacts& facts : processes) values.push_back(value(facts));
  return values;
}

void examine_configuration(const std::vector<ProcessFacts>& processes,
                           std::vector<Finding>& findings) {
  std::set<std::string> keys;
  for (const ProcessFacts& facts : processes) {
    for (const auto& [key, value] : facts.configuration) keys.insert(key);
  }
  std::vector<std::string> differences;
  std::set<int> ranks;
  for (const std::string& key : keys) {
    const Odd odd = odd_ones(
        values_of(processes, [&](const ProcessFacts& facts) { return option_of(facts, key); }));
    if (odd.ranks.empty()) continue;
    differences.push_back(fmt::format("{} is {}, elsewhere {}", key, odd.other, odd.usual));
    ranks.insert(odd.ranks.begin(), odd.ranks.end());
  }
  if (differences.empty()) return;
  const std::size_t named = std::min(differences.size(), kKeysNamed);
  const std::string rest =
      named == differences.size() ? "" : fmt::format(" and {} more", differences.size() - named);
  findings.push_back(
      {"configuration", Severity::error, ErrorKind::usage,
       fmt::format("other options than elsewhere: {}{}",
                   fmt::join(differences.begin(), differences.begin() + named, ", "), rest),
       "give all ranks the same command line, and a configuration file that is the same on all "
       "hosts",
       std::vector<int>(ranks.begin(), ranks.end())});
}

}  // namespace

std::vector<Finding> examine_launch(const std::vector<ProcessFacts>& processes,
                                    const std::string& command) {
  const auto world = static_cast<int>(processes.size());
  std::vector<Finding> findings;
  for (int rank = 0; rank < world; ++rank) {
    const ProcessFacts& facts = processes[rank];
    const std::string& launcher = facts.claim.launcher;
    const int claimed = facts.claim.ranks;
    if (!launcher.empty() && claimed != world && world == 1) {
      findings.push_back(
          {"foreign-launcher",
           Severity::error,
           ErrorKind::peers,
           fmt::format("{} started {} processes, but each is alone in its MPI "
                       "world and would train for itself",
                       launcher, claimed),
           right_line(claimed, command, mpi_of(facts)) + ", or without MPI with --rendezvous=tcp",
           {rank}});
    } else if (!launcher.empty() && claimed != world) {
      findings.push_back({"task-count",
                          Severity::error,
                          ErrorKind::peers,
                          fmt::format("{} says that it started {} tasks, the MPI world has {} "
                                      "ranks",
                                      launcher, claimed, world),
                          right_line(claimed, command, mpi_of(facts)),
                          {rank}});
    } else if (launcher.empty() && world == 1 && facts.job_tasks > 1) {
      findings.push_back({"idle-tasks",
                          Severity::warning,
                          ErrorKind::peers,
                          fmt::format("one process in a Slurm job of {} tasks", facts.job_tasks),
                          fmt::format("to use them all: srun --mpi=pmix seqrank {} ...", command),
                          {rank}});
    }
  }
  return merged(findings);
}

std::vector<Finding> examine_sameness(const std::vector<ProcessFacts>& processes) {
  std::vector<Finding> findings;
  const Odd binary =
      odd_ones(values_of(processes, [](const ProcessFacts& facts) { return facts.binary; }));
  if (!binary.ranks.empty()) {
    findings.push_back({"binary", Severity::error, ErrorKind::peers,
                        fmt::format("another program file than elsewhere: XXH3 {}, elsewhere {}",
                                    binary.other, binary.usual),
                        "install one build on all hosts, or start it from a shared folder",
                        binary.ranks});
  }
  examine_configuration(processes, findings);

  std::set<std::string> libraries;
  for (const ProcessFacts& facts : processes) {
    for (const auto& [library, version] : facts.versions) libraries.insert(library);
  }
  for (const std::string& library : libraries) {
    const Odd odd = odd_ones(values_of(processes, [&](const ProcessFacts& facts) {
      const auto found = facts.versions.find(library);
      return found == facts.versions.end() ? "(none)" : found->second;
    }));
    if (odd.ranks.empty()) continue;
    findings.push_back(
        {"library", Severity::warning, ErrorKind::peers,
         fmt::format("another {} library: {}, elsewhere {}", library, odd.other, odd.usual),
         "install the same packages on all hosts; until then results may differ from run to run",
         odd.ranks});
  }
  return findings;
}

}  // namespace seqrank
