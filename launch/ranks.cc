// Ranks tell each other their seats, so it works under mpirun, srun and alone, and needs no
// launcher's variables.
#include "launch/ranks.h"

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "backend/check.h"

namespace seqrank {
namespace {

using Json = nlohmann::ordered_json;

// The lowest processor of the core that `processor` is part of.
int core_of(int processor) {
  std::ifstream siblings(
      fmt::format("/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list", processor));
  int lowest = processor;
  siblings >> lowest;  // "0,32" or "0-1"; leaves 0 where it reads nothing
  return siblings ? lowest : processor;
}

int sharing(const std::vector<Seat>& seats, const Seat& seat) {
  return static_cast<int>(std::count_if(seats.begin(), seats.end(), [&](const Seat& other) {
    return other.node == seat.node && other.processors == seat.processors;
  }));
}

}  // namespace

void to_json(Json& json, const Seat& seat) {
  json = {{"host", seat.host},
          {"node", seat.node},
          {"local_rank", seat.local_rank},
          {"processors", seat.processors},
          {"cores", seat.cores}};
}

void from_json(const Json& json, Seat& seat) {
  json.at("host").get_to(seat.host);
  json.at("node").get_to(seat.node);
  json.at("local_rank").get_to(seat.local_rank);
  json.at("processors").get_to(seat.processors);
  json.at("cores").get_to(seat.cores);
}

std::vector<int> processors_of(int process) {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  std::vector<int> processors;
  if (::sched_getaffinity(process, sizeof(mask), &mask) != 0) return processors;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &mask)) processors.push_back(cpu);
  }
  return processors;
}

std::string host_name() {
  char host[256] = "";
  ::gethostname(host, sizeof(host) - 1);
  return host;
}

Seat own_seat(Communicator& comm) {
  Seat seat;
  seat.host = host_name();
  seat.processors = processors_of(0);
  for (const int processor : seat.processors) {
    const int core = core_of(processor);
    if (seat.cores.empty() || seat.cores.back() != core) seat.cores.push_back(core);
  }
  std::sort(seat.cores.begin(), seat.cores.end());
  seat.cores.erase(std::unique(seat.cores.begin(), seat.cores.end()), seat.cores.end());

  const auto machine = comm.split_shared();
  seat.local_rank = machine->rank();
  seat.node = static_cast<int>(machine->all_reduce_value(std::int64_t{comm.rank()}, Reduce::min));
  return seat;
}

std::vector<Seat> all_seats(Communicator& comm) {
  std::vector<Seat> seats;
  for (const std::string& text : comm.all_gather_text(Json(own_seat(comm)).dump()))
    seats.push_back(Json::parse(text).get<Seat>());
  return seats;
}

std::vector<OptionSpec> rank_options() {
  return {{"threads", OptionKind::integer, "0",
           "compute threads of a rank; 0: its processors divided by the ranks that share them",
           "0..4096"}};
}

int threads_by_seat(const std::vector<Seat>& seats, int rank) {
  const Seat& seat = seats.at(rank);
  return std::max(1, static_cast<int>(seat.processors.size()) / sharing(seats, seat));
}

int rank_threads(Communicator& comm, const Options& options) {
  const std::vector<Seat> seats = all_seats(comm);
  const auto requested = static_cast<int>(options.integer("threads"));
  return requested > 0 ? requested : threads_by_seat(seats, comm.rank());
}

}  // namespace seqrank
