// Drivers and devices against what --device and --exchange want of them.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "launch/doctor/examine.h"

namespace seqrank {
namespace {

// A driver runs programs of its own major version and of older ones.
bool is_too_old(const CudaFacts& cuda) {
  return cuda.built && cuda.driver > 0 && cuda.driver / 1000 < cuda.runtime / 1000;
}

void examine_presence(const ProcessFacts& facts, int rank, std::vector<Finding>& findings) {
  const CudaFacts& cuda = facts.cuda;
  const std::string wanted = option_of(facts, "device");
  if (is_too_old(cuda)) {
    findings.push_back({"old-driver",
                        Severity::error,
                        ErrorKind::device,
                        fmt::format("the GPU's driver is for {}, this program for {}",
                                    cuda_version(cuda.driver), cuda_version(cuda.runtime)),
                        "update the driver, or compute on the CPU with --device=cpu",
                        {rank}});
  } else if (cuda.missing.empty()) {
    return;
  } else if (wanted == "cuda") {
    findings.push_back({"no-device",
                        Severity::error,
                        ErrorKind::device,
                        "--device=cuda: no CUDA device: " + cuda.missing,
                        "--device=cpu needs none",
                        {rank}});
  } else if (wanted == "auto" && cuda.built) {
    findings.push_back({"no-device",
                        Severity::warning,
                        ErrorKind::device,
                        "no CUDA device: " + cuda.missing,
                        "computing on the CPU, on every rank; --device=cpu says that it is meant",
                        {rank}});
  }
}

// Kinds of devices, by the ranks that take one.
void examine_kinds(const std::vector<ProcessFacts>& processes, std::vector<Finding>& findings) {
  std::map<std::string, std::vector<int>> kinds;
  for (const int rank : all_of(processes.size()))
    kinds[device_of(processes[rank])->name].push_back(rank);
  if (kinds.size() < 2) return;
  const auto usual = std::max_element(kinds.begin(), kinds.end(), [](const auto& a, const auto& b) {
    return a.second.size() < b.second.size();
  });
  for (const auto& [name, ranks] : kinds) {
    if (name == usual->first) continue;
    findings.push_back({"mixed-devices", Severity::warning, ErrorKind::device,
                        fmt::format("{}, elsewhere {}", name, usual->first),
                        "each step takes as long as the slowest device", ranks});
  }
}

// Devices of a node to its ranks, where each must have its own.
void examine_sharing(const std::vector<ProcessFacts>& processes, const std::vector<int>& node,
                     std::vector<Finding>& findings) {
  std::set<std::string> devices;
  std::map<std::string, std::vector<int>> users;
  for (const int rank : node) {
    for (const DeviceFacts& device : processes[rank].cuda.devices) devices.insert(device.pci);
    users[device_of(processes[rank])->pci].push_back(rank);
  }
  if (node.size() > devices.size()) {
    findings.push_back(
        {"more-ranks-than-devices", Severity::error, ErrorKind::device,
         fmt::format("{} and {} on a host", count(node.size(), "rank"),
                     count(devices.size(), "visible GPU")),
         fmt::format("start {} a host (mpirun --npernode, srun --ntasks-per-node), ask for more "
                     "GPUs (--gres=gpu:{}), or let ranks share a GPU with --exchange=staged",
                     count(devices.size(), "rank"), node.size()),
         node});
    return;
  }
  for (const auto& [device, ranks] : users) {
    if (ranks.size() < 2) continue;
    findings.push_back({"two-ranks-one-device", Severity::error, ErrorKind::device,
                        fmt::format("{} take GPU {}, of {} there", count(ranks.size(), "rank"),
                                    device, devices.size()),
                        "show every rank all GPUs of its host, or each rank another one, in "
                        "CUDA_VISIBLE_DEVICES (srun: --gpus-per-task=1)",
                        ranks});
  }
}

}  // namespace

std::vector<Finding> examine_devices(const std::vector<ProcessFacts>& processes) {
  std::vector<Finding> findings;
  for (const int rank : all_of(processes.size())) examine_presence(processes[rank], rank, findings);
  if (!computes_on_cuda(processes)) return merged(findings);
  if (option_of(processes[0], "exchange") != "staged") {
    for (const auto& [first, node] : ranks_by_node(processes))
      examine_sharing(processes, node, findings);
  }
  examine_kinds(processes, findings);
  return merged(findings);
}

}  // namespace seqrank
