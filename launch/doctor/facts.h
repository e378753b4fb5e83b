// What each rank finds out about itself before step 1, and the form in which ranks tell each other.
// Facts only: what they mean is for examine.h.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "backend/device_facts.h"
#include "launch/launcher.h"
#include "launch/ranks.h"

namespace seqrank {

// Known without touching data or run folder.
struct ProcessFacts {
  Seat seat;
  std::vector<int> launcher_processors;  // that the process which started it may use
  int threads = 0;                       // asked for; 0: as many as fit
  LauncherClaim claim;
  int job_tasks = 0;                                 // of the Slurm job around it; 0: none
  std::string binary;                                // XXH3 of the program's file
  std::map<std::string, std::string> versions;       // "MPI" -> "Open MPI v4.1.4"
  std::map<std::string, std::string> configuration;  // of the run, and "command"
  CudaFacts cuda;                                    // not asked for with --device=cpu
  std::string token;  // rank 0: a file that it has left in the run folder; "" = it could not
};

struct StorageFacts {
  std::string data;         // "" = no --data
  std::string data_error;   // why it cannot be used
  int data_error_code = 0;  // as the program would exit
  std::string fingerprint;
  int lock_error = 0;  // errno of locking it; 0: it can be locked

  std::string run;        // "" = no --run
  std::string run_error;  // why nothing can be written there
  bool token_seen = false;
  std::int64_t free_bytes = 0;  // of its file system

  std::string model_error;       // why the model cannot be made
  std::int64_t parameters = -1;  // of the model; -1: not known
  std::int64_t saved = 0;        // elements of a checkpoint, where that is known
  std::int64_t checkpoints = 0;  // that the run folder holds already

  std::int64_t table_bytes = 0;  // of this rank's tables in files (table.tier=file)
  std::string table_folder;      // where they are to lie, as far as it is there
  std::string table_system;  // its file system: "run", that of the run folder, or host and device
  std::int64_t table_free = 0;  // of that
};

void to_json(nlohmann::ordered_json& json, const DeviceFacts& facts);
void from_json(const nlohmann::ordered_json& json, DeviceFacts& facts);
void to_json(nlohmann::ordered_json& json, const ProcessFacts& facts);
void to_json(nlohmann::ordered_json& json, const StorageFacts& facts);

std::string to_text(const ProcessFacts& facts);
std::string to_text(const StorageFacts& facts);
// Of all ranks. Of a text that is not what this program writes only `binary` is kept, as a value
// that no program has: it comes from another version.
std::vector<ProcessFacts> process_facts(const std::vector<std::string>& texts);
std::vector<StorageFacts> storage_facts(const std::vector<std::string>& texts);

std::string cuda_version(int number);  // 13000 -> "CUDA 13.0"
std::vector<Seat> seats_of(const std::vector<ProcessFacts>& processes);
// Compute threads of each rank.
std::vector<int> threads_of(const std::vector<ProcessFacts>& processes);
// Ranks by node, rising.
std::map<int, std::vector<int>> ranks_by_node(const std::vector<ProcessFacts>& processes);
std::string option_of(const ProcessFacts& facts, const std::string& key);  // else "(none)"
// Whether all ranks compute on devices, as RankDevice decides.
bool computes_on_cuda(const std::vector<ProcessFacts>& processes);
// The device that the rank would take, as RankDevice does: its only one, or else one by local rank;
// null = it sees none.
const DeviceFacts* device_of(const ProcessFacts& facts);

}  // namespace seqrank
