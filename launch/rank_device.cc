// One decision for all ranks: a run on mixed devices would be another run.
#include "launch/rank_device.h"

#include "backend/check.h"
#include "backend/device.h"
#include "collective/staged.h"

namespace seqrank {
namespace {

enum class Exchange { nccl, staged };

// Of the devices that this process sees: Slurm shows a task its own one, mpirun shows all.
int ordinal_of(int local_rank, int devices, Exchange exchange) {
  if (devices == 1 || exchange == Exchange::staged) return local_rank % devices;
  SR_CHECK(local_rank < devices, ErrorKind::device,
           "this host has more ranks than CUDA devices ({}); start {} ranks a host, or let ranks "
           "share a device with --exchange=staged",
           devices, devices);
  return local_rank;
}

}  // namespace

std::vector<OptionSpec> device_options() {
  return {{"device", OptionKind::choice, "auto",
           "what ranks compute on; auto: CUDA where all ranks "
           "have a device",
           "auto|cpu|cuda"},
          {"exchange", OptionKind::choice, "nccl",
           "how ranks on CUDA devices exchange tensors; staged: by way of the host, also where "
           "ranks share a device",
           "nccl|staged"}};
}

RankDevice::RankDevice(Communicator& world, const Options& options, int threads) : world_(world) {
  const std::string& wanted = options.text("device");
  const std::string missing = wanted == "cpu" ? "" : why_no_cuda();
  bool cuda = wanted == "cuda";
  if (wanted == "auto") {
    cuda = world.all_reduce_value(std::int64_t{missing.empty()}, Reduce::min) > 0;
    if (!cuda && built_with_cuda())
      why_ = fmt::format("computing on the CPU: {}",
                         missing.empty() ? "not every rank has a CUDA device" : missing);
  }
  SR_CHECK(!cuda || missing.empty(), ErrorKind::device,
           "--device=cuda: no CUDA device: {}; --device=cpu needs none", missing);
  const int local_rank = world.split_shared()->rank();
  if (!cuda) {
    ctx_ = std::make_unique<Context>(Device::cpu, threads);
    return;
  }
  const Exchange exchange =
      options.text("exchange") == "staged" ? Exchange::staged : Exchange::nccl;
  ctx_ = std::make_unique<Context>(Device::cuda, threads, 0,
                                   ordinal_of(local_rank, cuda_devices(), exchange));
  device_comm_ = make_staged_communicator(world, *ctx_);
}

}  // namespace seqrank
