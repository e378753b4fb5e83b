// Cheap and telling first: ranks that run different programs or options are found before a byte of
// data is read.
#include "launch/doctor/checkup.h"

#include "launch/doctor/exchange_probe.h"
#include "launch/doctor/rank_probe.h"
#include "launch/doctor/run_folder_probe.h"
#include "launch/rank_device.h"

namespace seqrank {
namespace {

void add(std::vector<Finding> more, std::vector<Finding>& findings) {
  findings.insert(findings.end(), more.begin(), more.end());
}

}  // namespace

Checkup check_up(Communicator& comm, const std::string& command, const Options& run,
                 const Options& call, Depth depth) {
  Checkup result;
  std::optional<Token> token;  // until all have looked for it
  ProcessFacts process = own_process_facts(comm, command, run, call);
  if (comm.rank() == 0 && run.has("run")) {
    token.emplace(existing_part(run.text("run")));
    process.token = token->name();
  }
  result.processes = process_facts(comm.all_gather_text(to_text(process)));
  result.threads = threads_of(result.processes).at(comm.rank());
  add(examine_launch(result.processes, command), result.findings);
  add(examine_sameness(result.processes), result.findings);
  if (depth == Depth::brief && exit_code(result.findings) != 0) return result;
  add(examine_processors(result.processes), result.findings);
  add(examine_devices(result.processes), result.findings);
  const bool devices_work = exit_code(result.findings) == 0;
  if (depth == Depth::brief && !devices_work) return result;

  const StorageFacts storage =
      own_storage_facts(run, comm.rank(), result.processes, result.dataset);
  result.storage = storage_facts(comm.all_gather_text(to_text(storage)));
  add(examine_storage(result.storage), result.findings);

  result.clocks = measure_clocks(comm);
  add(examine_clocks(result.clocks), result.findings);
  if (depth == Depth::brief) return result;
  const FaultPlan faults =
      run.has("train.fault") ? FaultPlan::parse(run.text("train.fault")) : FaultPlan();
  result.pairs = measure_exchange(comm, faults);
  add(examine_exchange(result.pairs, seats_of(result.processes)), result.findings);
  if (devices_work && comm.size() > 1 && computes_on_cuda(result.processes)) {
    RankDevice device(comm, call, result.threads);
    result.all_reduce_rate = measure_all_reduce(device.ranks(), device.ctx());
  }
  return result;
}

}  // namespace seqrank
