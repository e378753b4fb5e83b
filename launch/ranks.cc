// Ranks tell each other host name and affinity mask, so it works under mpirun, srun and alone, and
// needs no launcher's variables.
#include "launch/ranks.h"

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>

#include "backend/context.h"

namespace seqrank {
namespace {

std::string place_of_this_process() {
  char host[256] = "";
  ::gethostname(host, sizeof(host) - 1);
  std::string place = host;
  cpu_set_t mask;
  CPU_ZERO(&mask);
  ::sched_getaffinity(0, sizeof(mask), &mask);
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &mask)) place += fmt::format(" {}", cpu);
  }
  return place;
}

}  // namespace

std::vector<OptionSpec> rank_options() {
  return {{"threads", OptionKind::integer, "0",
           "compute threads of a rank; 0: its processors divided by the ranks that share them",
           "0..4096"}};
}

OptionSpec peer_timeout_option() {
  return {"peer-timeout", OptionKind::integer, "300",
          "seconds without a word from another rank after which the run ends, naming it; 0: never",
          "0..1000000"};
}

int rank_threads(Communicator& comm, const Options& options) {
  const std::string own = place_of_this_process();
  const std::vector<std::string> places = comm.all_gather_text(own);
  const auto sharing = static_cast<int>(std::count(places.begin(), places.end(), own));
  const auto requested = static_cast<int>(options.integer("threads"));
  return requested > 0 ? requested : std::max(1, affinity_threads() / sharing);
}

}  // namespace seqrank
