// How ranks that know an address, or a file, come to a connection each with each.
#pragma once

#include <string>
#include <vector>

#include "collective/tcp.h"
#include "collective/tcp_socket.h"

namespace seqrank {

// By rank; this rank's own sockets are absent.
struct TcpPeers {
  std::vector<Socket> data;   // for the collectives
  std::vector<Socket> notes;  // for what is said outside of them
  std::vector<std::string> hosts;
  std::vector<int> nodes;  // lowest rank of the same machine
};

// Throws Error(peers), naming who has not come, when the time is over.
TcpPeers meet(const TcpMeeting& meeting);

}  // namespace seqrank
