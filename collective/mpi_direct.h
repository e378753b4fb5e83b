// Exchanges in which every rank of MPI sends to every other at once: one latency, and as many
// messages as there are peers with something to say. For small sums, and for all_to_all_v.
#pragma once

#include <mpi.h>

#include <span>
#include <vector>

#include "collective/mpi_wait.h"
#include "collective/transport.h"

namespace seqrank {

class MpiDirect {
 public:
  // most_bytes: of one message. waiter must outlive this.
  MpiDirect(MPI_Comm comm, MpiWaiter& waiter, std::int64_t most_bytes);

  // Everyone's x to everyone, added in the order of ranks: the same bits on all.
  void all_reduce(const Call& call, Tensor& x, Reduce op);
  // As Communicator's. Throws Error(peers) where a peer sends another count than is expected.
  void all_to_all_v(const Call& call, Tensor& received,
                    std::span<const std::int64_t> receive_counts, Tensor& sent,
                    std::span<const std::int64_t> send_counts);

 private:
  void receive(const Call& call, std::byte* to, std::int64_t bytes, int from);
  void send(const Call& call, const std::byte* from, std::int64_t bytes, int to);
  void check_expected(const Call& call, int from, std::int64_t sent, std::int64_t expected,
                      std::int64_t width) const;

  MPI_Comm comm_;
  MpiWaiter& waiter_;
  std::int64_t most_bytes_;
  int rank_ = 0, size_ = 1;
  std::vector<MPI_Request> requests_;   // receives first
  std::vector<std::int64_t> expected_;  // bytes, of each receive
  std::vector<MPI_Status> statuses_;
  std::vector<std::byte> received_;  // of all_reduce, kept
};

}  // namespace seqrank
