// Innermost launcher first: mpirun inside a Slurm job starts its daemons by srun, and the ranks
// inherit the variables of that step, which count daemons. MPI_Init sets none of these variables.
#include "launch/launcher.h"

#include <fmt/core.h>

#include <charconv>
#include <cstdlib>
#include <string_view>

namespace seqrank {
namespace {

constexpr const char* kSrun = "srun";

struct Variables {
  const char* launcher;
  const char* ranks;
  const char* rank;
};

constexpr Variables kLaunchers[] = {
    {"Open MPI's mpirun", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"},
    {"MVAPICH2's mpirun", "MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_RANK"},
    {"an mpirun of MPICH or Intel MPI", "PMI_SIZE", "PMI_RANK"},
    {kSrun, "SLURM_STEP_NUM_TASKS", "SLURM_PROCID"},
    {"a launcher that knows no MPI", "WORLD_SIZE", "RANK"},
};

}  // namespace

std::optional<int> environment_number(const char* variable) {
  const char* text = std::getenv(variable);
  if (text == nullptr) return std::nullopt;
  const std::string_view digits = text;
  int value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size() || value < 0) {
    return std::nullopt;
  }
  return value;
}

LauncherClaim launcher_claim() {
  for (const Variables& variables : kLaunchers) {
    const std::optional<int> ranks = environment_number(variables.ranks);
    if (ranks) return {variables.launcher, *ranks, environment_number(variables.rank).value_or(0)};
  }
  return {};
}

int launcher_rank() {
  const LauncherClaim claim = launcher_claim();
  if (!claim.launcher.empty()) return claim.rank;
  // Launchers that speak PMIx and are none of the above; a batch script's SLURM_PROCID is 0.
  if (const std::optional<int> rank = environment_number("PMIX_RANK")) return *rank;
  return environment_number("SLURM_PROCID").value_or(0);
}

std::string launcher_fault() {
  const LauncherClaim claim = launcher_claim();
  const bool can_meet = std::getenv("PMIX_RANK") != nullptr;
  if (claim.launcher != kSrun || can_meet) return "";
  return fmt::format(
      "srun started {} task{} here without PMIx, by which the ranks of an MPI program meet; start "
      "it with srun --mpi=pmix (srun --mpi=list shows what this Slurm has), with mpirun inside the "
      "job, or with --rendezvous=tcp",
      claim.ranks, claim.ranks == 1 ? "" : "s");
}

int slurm_job_tasks() {
  return environment_number("SLURM_NTASKS").value_or(0);
}

}  // namespace seqrank
