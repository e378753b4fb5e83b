// The other ranks on this host, as processes: what a rank that is told to end looks at, to say
// which of them went first. (`mpirun -q` does not tell, and ends the others when one is killed.)
#pragma once

#include <string>
#include <vector>

#include "collective/communicator.h"

namespace seqrank {

class LocalPeers {
 public:
  struct Peer {
    int rank;
    int process;
  };
  // Of `rank`, without itself.
  LocalPeers(int rank, std::string host, std::vector<Peer> peers);
  // Collective. Without peers where the processes of this host do not see each other (each in a
  // container of its own).
  static LocalPeers of(Communicator& comm);

  // "rank 1 (process 4711 on node3) is gone", of the first that is; "" when all are there.
  std::string gone() const;
  // No lower rank of this host is there: it is this one's part to speak for all.
  bool first() const;
  // Tells the others (USR2) that what there is to say has been said.
  void hush() const;

 private:
  int rank_;
  std::string host_;
  std::vector<Peer> peers_;
};

}  // namespace seqrank
