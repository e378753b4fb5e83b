// Reduce-scatter and all-gather round a ring of MPI ranks: every rank sends to the next one only,
// so that each piece crosses each link once, and moves (P-1)/P of the tensor, which is the least
// possible (Patarasuk and Yuan, J. Parallel Distrib. Comput. 2009). Pieces are cut into lanes that
// go round independently: while one is added, the others travel.
#pragma once

#include <mpi.h>

#include <vector>

#include "collective/mpi_wait.h"
#include "collective/transport.h"

namespace seqrank {

class MpiRing {
 public:
  // message_bytes: of one message. waiter must outlive this.
  MpiRing(MPI_Comm comm, MpiWaiter& waiter, std::int64_t message_bytes);

  // As Communicator's. Piece k is summed in the order of ranks k+1, k+2, ..., k: the same bits from
  // run to run, and, since one rank makes each sum, on all ranks.
  void reduce_scatter(const Call& call, Tensor& x, Reduce op);
  void all_gather(const Call& call, Tensor& x);

 private:
  struct Lane {
    std::int64_t index = 0;  // of the lane: which part of every piece
    int step = 0;            // 0 .. P-2
    int pending = 0;         // of its two messages
    std::byte* staging = nullptr;
  };
  struct Job;
  void run(Job& job);
  void post(Job& job, std::size_t slot);
  void received(Job& job, const Lane& lane);

  MPI_Comm comm_;
  MpiWaiter& waiter_;
  int rank_ = 0, size_ = 1;
  std::int64_t message_bytes_;
  std::vector<std::byte> staging_;     // kept
  std::vector<Lane> lanes_;            // under way, by slot
  std::vector<MPI_Request> requests_;  // two a slot: from the left, to the right
  std::vector<int> done_;
};

}  // namespace seqrank
