// One decision for all ranks: a run on mixed devices would be another run.
#include "launch/rank_device.h"

#include "backend/check.h"
#include "backend/device.h"
#include "collective/nccl.h"
#include "collective/staged.h"

namespace seqrank {
namespace {

enum class Exchange { nccl, staged };

Exchange exchange_of(const Options& options) {
  return options.text("exchange") == "staged" ? Exchange::staged : Exchange::nccl;
}

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

RankDevice::RankDevice(Communicator& world, const Options& options, int threads)
    : world_(world), options_(options) {
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
  if (!cuda) {
    ctx_ = std::make_unique<Context>(Device::cpu, threads);
    return;
  }
  const int local_rank = world.split_shared()->rank();
  ctx_ = std::make_unique<Context>(Device::cuda, threads, 0,
                                   ordinal_of(local_rank, cuda_devices(), exchange_of(options)));
}

Communicators RankDevice::ranks() {
  if (ctx_->device() == Device::cpu) return world_;
  if (!device_comm_)
    device_comm_ =
        exchange_of(options_) == Exchange::staged
            ? make_staged_communicator(world_, *ctx_)
            : make_nccl_communicator(world_, ctx_->ordinal(),
                                     static_cast<double>(options_.integer("peer-timeout")));
  return {world_, *device_comm_};
}

}  // namespace seqrank
