// Ranks as processes that meet over TCP: for sites whose launcher knows no MPI, and the host's side
// of GPU ranks there. Every rank is connected to every other. Reads no environment: launch/ says
// who is who.
#pragma once

#include <memory>
#include <string>

#include "collective/communicator.h"

namespace seqrank {

// Where the ranks find each other. Rank 0 listens; the others look for it until it is there.
struct TcpMeeting {
  int rank = 0;
  int size = 1;
  std::string host;  // of rank 0, a name or an IPv4 address, and the port there
  int port = 0;
  // Or, with neither: a path that all ranks see, where rank 0 writes where it listens. Rank 0
  // removes what an earlier run left there, and the file once all have met.
  std::string file{};
  double seconds = 120;  // until everybody must have come
};

// The world. patience: as of MpiLimits. The last communicator alive must be this one; when an error
// unwinds it, or on abort(), every rank's process ends with that exit code, without a word from
// those that did not fail. So it is when a rank's process dies: who waits for it names it.
std::unique_ptr<Communicator> make_tcp_communicator(const TcpMeeting& meeting, double patience = 0);

}  // namespace seqrank
