// MASTER_ADDR and MASTER_PORT, too, are read here: the names that launchers of other training
// programs set.
#include "launch/world.h"

#include <cstdlib>
#include <optional>

#include "backend/check.h"
#include "collective/mpi.h"
#include "collective/tcp.h"
#include "launch/launcher.h"

namespace seqrank {
namespace {

int variable(const char* name, const std::string& rendezvous) {
  const std::optional<int> value = environment_number(name);
  SR_CHECK(
      value, ErrorKind::usage,
      "--rendezvous={} needs {} in the environment of every process, a number: RANK counts them "
      "from 0, WORLD_SIZE is how many there are, rank 0 listens at MASTER_ADDR, port "
      "MASTER_PORT",
      rendezvous, name);
  return *value;
}

TcpMeeting meeting_from(const Options& options) {
  const std::string& how = options.text("rendezvous");
  TcpMeeting meeting;
  meeting.rank = variable("RANK", how);
  meeting.size = variable("WORLD_SIZE", how);
  if (how == "file") {
    SR_CHECK(
        options.has("rendezvous-file"), ErrorKind::usage,
        "--rendezvous=file needs --rendezvous-file, a path that all hosts see and that is this "
        "job's own");
    meeting.file = options.text("rendezvous-file");
    return meeting;
  }
  const char* host = std::getenv("MASTER_ADDR");
  SR_CHECK(host != nullptr, ErrorKind::usage,
           "--rendezvous=tcp needs MASTER_ADDR in the environment of every process: the host of "
           "rank 0");
  meeting.host = host;
  meeting.port = variable("MASTER_PORT", how);
  SR_CHECK(0 < meeting.port && meeting.port < 65536, ErrorKind::usage,
           "MASTER_PORT is {}; it must be from 1 to 65535", meeting.port);
  return meeting;
}

}  // namespace

std::vector<OptionSpec> world_options() {
  return {{"peer-timeout", OptionKind::integer, "300",
           "seconds without a word from another rank after which the run ends, naming it; 0: never",
           "0..1000000"},
          {"rendezvous", OptionKind::choice, "mpi",
           "how ranks meet: by MPI, or without it over TCP, by RANK, WORLD_SIZE and MASTER_ADDR, "
           "MASTER_PORT (tcp) or a file",
           "mpi|tcp|file"},
          {"rendezvous-file", OptionKind::text, "",
           "for --rendezvous=file: a path that all hosts see, a new one for each job"}};
}

bool meets_by_mpi(const Options& options) {
  return options.text("rendezvous") == "mpi";
}

std::unique_ptr<Communicator> make_world(const Options& options) {
  const auto patience = static_cast<double>(options.integer("peer-timeout"));
  if (!meets_by_mpi(options)) return make_tcp_communicator(meeting_from(options), patience);
  MpiLimits limits;
  limits.patience = patience;
  return make_mpi_communicator(limits);
}

}  // namespace seqrank
