// What a process is among the others on its machine. The only place that asks for host names,
// affinity masks and local ranks.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "collective/communicator.h"
#include "models/options.h"

namespace seqrank {

// Where a rank runs, as it finds itself.
struct Seat {
  std::string host;
  int node = 0;        // lowest rank that shares memory with it: ranks of one node have this alike
  int local_rank = 0;  // among those
  std::vector<int> processors;  // that it may run on, rising
  std::vector<int> cores;       // those processors' cores, each by its lowest processor; rising
};
void to_json(nlohmann::ordered_json& json, const Seat& seat);
void from_json(const nlohmann::ordered_json& json, Seat& seat);

std::string host_name();  // of the machine under this process

Seat own_seat(Communicator& comm);                // collective
std::vector<Seat> all_seats(Communicator& comm);  // by rank; collective

std::vector<int> processors_of(int process);  // that it may run on; 0: of this process

// "threads".
std::vector<OptionSpec> rank_options();

// Compute threads of a rank that is given no number: its processors divided by the ranks that share
// exactly these processors (`mpirun --bind-to none` gives all of them to every rank).
int threads_by_seat(const std::vector<Seat>& seats, int rank);

// Compute threads of this rank: --threads, or else as above. Collective.
int rank_threads(Communicator& comm, const Options& options);

}  // namespace seqrank
