// What the program that started this process (mpirun, srun) says about it in the environment. Says
// nothing about what MPI made of it: that the two agree is for launch/doctor to check.
#pragma once

#include <optional>
#include <string>

namespace seqrank {

struct LauncherClaim {
  std::string launcher;  // "srun"; empty: nobody claims to have started this process
  int ranks = 1;         // that it started
  int rank = 0;          // of this process among them
};

LauncherClaim launcher_claim();

// This process's rank as the launcher tells it, for errors before there is a world; 0 alone.
int launcher_rank();

// Why MPI cannot join the ranks that the launcher started, where that is sure before it is tried
// (it would end the process with pages about how MPI was built); "" = no reason known.
std::string launcher_fault();

// What a variable holds where that is a whole number, 0 or more.
std::optional<int> environment_number(const char* variable);

// Tasks of the Slurm job around this process, of which a launcher may use fewer; 0 outside a job.
int slurm_job_tasks();

}  // namespace seqrank
