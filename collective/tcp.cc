// Meets, and makes a communicator of the connections.
#include "collective/tcp.h"

#include "collective/tcp_mesh.h"
#include "collective/tcp_transport.h"

namespace seqrank {

std::unique_ptr<Communicator> make_tcp_communicator(const TcpMeeting& meeting, double patience) {
  SR_CHECK(meeting.size >= 1 && meeting.rank >= 0 && meeting.rank < meeting.size, ErrorKind::peers,
           "rank {} of {}; WORLD_SIZE must be 1 at least, and RANK from 0 to less than that",
           meeting.rank, meeting.size);
  auto mesh = std::make_shared<TcpMesh>(meet(meeting), meeting.rank, patience);
  return std::make_unique<Communicator>(std::make_shared<TcpTransport>(std::move(mesh)),
                                        make_worker_stream());
}

}  // namespace seqrank
