// Reads the environment, /proc, the devices, the data set and the run folder. Nothing here waits
// for a peer but the seat.
#include "launch/doctor/rank_probe.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "backend/check.h"
#include "backend/cpu/gemm.h"
#include "backend/device_facts.h"
#include "collective/mpi.h"
#include "collective/nccl.h"
#include "launch/doctor/run_folder_probe.h"
#include "launch/version.h"
#include "launch/world.h"
#include "trainer/checkpoint.h"
#include "trainer/checksum.h"
#include "trainer/memory_plan.h"
#include "trainer/run_folder.h"
#include "trainer/training_parts.h"

namespace seqrank {
namespace {

std::string program_sum() {
  const File program("/proc/self/exe", O_RDONLY);
  return sum_text(checksum(program, 0, program.size()));
}

// Where the data is and the run goes may be spelt differently: what lies there is compared instead.
std::map<std::string, std::string> configuration(const std::string& command, const Options& run) {
  std::map<std::string, std::string> values = {{"command", command}};
  for (const OptionSpec& spec : run.specs()) {
    if (spec.key == "data" || spec.key == "run" || !run.has(spec.key)) continue;
    values[spec.key] = run.text(spec.key);
  }
  return values;
}

// The errno of locking it as readers do; 0: it can be locked, if not now.
int lock_error(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (file < 0) return 0;  // opening it has said so
  const int reason = ::flock(file, LOCK_SH | LOCK_NB) == 0 ? 0 : errno;
  ::close(file);
  return reason == EWOULDBLOCK ? 0 : reason;
}

void probe_run_folder(const std::string& run, int rank, const std::string& token,
                      StorageFacts& facts) {
  facts.run = run;
  const std::string folder = existing_part(run);
  facts.run_error = why_not_writable(folder, rank);
  facts.token_seen = !token.empty() && token_seen(run, token);
  facts.free_bytes = free_bytes(folder);
  facts.checkpoints =
      static_cast<std::int64_t>(checkpoint_steps(RunFolder(run).checkpoints()).size());
}

std::int64_t device_of_file(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 ? static_cast<std::int64_t>(status.st_dev) : -1;
}

// Where table.tier=file has tables lie, and how much of this rank's.
void probe_table_files(Options run, const Dataset& dataset, int rank,
                       const std::vector<ProcessFacts>& processes, StorageFacts& facts) {
  if (run.text("table.tier") != "file") return;
  const char* const folder = run.has("table.folder") ? "table.folder" : "run";
  if (!run.has(folder)) return;
  const Seat& seat = processes.at(rank).seat;
  if (run.text("table.group") == "node")
    run.set("table.group", std::to_string(ranks_by_node(processes).at(seat.node).size()),
            "this run's hosts");
  facts.table_bytes = plan_table_files(dataset, run, static_cast<int>(processes.size()));
  facts.table_folder = existing_part(run.text(folder));
  facts.table_free = free_bytes(facts.table_folder);
  const std::int64_t device = device_of_file(facts.table_folder);
  facts.table_system = run.has("run") && device == device_of_file(existing_part(run.text("run")))
                           ? "run"
                           : fmt::format("{} {}", seat.host, device);
}

}  // namespace

ProcessFacts own_process_facts(Communicator& comm, const std::string& command, const Options& run,
                               const Options& call) {
  ProcessFacts facts;
  facts.seat = own_seat(comm);
  if (::getppid() > 0) facts.launcher_processors = processors_of(::getppid());
  facts.threads = static_cast<int>(call.integer("threads"));
  if (meets_by_mpi(call)) facts.claim = launcher_claim();  // else the world is what was claimed
  facts.job_tasks = slurm_job_tasks();
  facts.binary = program_sum();
  facts.versions = {{"seqrank", kVersion},
                    {"MPI", mpi_library_version()},
                    {"HDF5", hdf5_library_version()},
                    {"oneDNN", cpu::gemm_library_version()}};
  facts.configuration = configuration(command, run);
  // Ranks that compute on unlike devices, or exchange in unlike ways, would wait for each other.
  for (const char* key : {"device", "exchange"}) facts.configuration[key] = call.text(key);
  if (call.text("device") != "cpu") facts.cuda = cuda_facts();
  facts.versions.merge(cuda_library_versions());
  if (!nccl_library_version().empty()) facts.versions["NCCL"] = "NCCL " + nccl_library_version();
  return facts;
}

StorageFacts own_storage_facts(const Options& run, int rank,
                               const std::vector<ProcessFacts>& processes,
                               std::optional<Dataset>& dataset) {
  StorageFacts facts;
  if (run.has("run")) probe_run_folder(run.text("run"), rank, processes.at(0).token, facts);
  if (!run.has("data")) return facts;
  facts.data = run.text("data");
  try {
    dataset = Dataset::open(facts.data);
    facts.fingerprint = dataset->fingerprint();
    facts.lock_error = lock_error(facts.data);
  } catch (const Error& error) {
    facts.data_error = error.what();
    facts.data_error_code = error.exit_code();
    return facts;
  }
  try {
    const ModelSize size = model_size(run, *dataset);
    facts.parameters = size.parameters;
    facts.saved = size.saved;
    probe_table_files(run, *dataset, rank, processes, facts);
  } catch (const Error& error) {
    facts.model_error = error.what();
  }
  return facts;
}

}  // namespace seqrank
