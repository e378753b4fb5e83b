// The collectives over a mesh of TCP connections: everyone sends to everyone at once. A reduction
// sends each piece to the rank that owns it, which adds in the order of ranks and sends the sum to
// all: every byte crosses the network as often as in a ring, in two latencies. Not built for
// hundreds of ranks.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "collective/tcp_mesh.h"
#include "collective/transport.h"

namespace seqrank {

class TcpTransport final : public Transport {
 public:
  // Of all ranks of the mesh.
  explicit TcpTransport(std::shared_ptr<TcpMesh> mesh);
  // members: ranks of the mesh, by this communicator's rank. group: no other communicator's.
  TcpTransport(std::shared_ptr<TcpMesh> mesh, std::vector<int> members, int rank,
               std::uint64_t group);

  void agree(const Call&) override {}  // every message names its call
  void all_reduce(const Call& call, Tensor x, Reduce op) override;
  void reduce_scatter(const Call& call, Tensor x, Reduce op) override;
  void all_gather(const Call& call, Tensor x) override;
  void broadcast(const Call& call, Tensor x, int root) override;
  void all_to_all_v(const Call& call, Tensor received, std::span<const std::int64_t> receive_counts,
                    Tensor sent, std::span<const std::int64_t> send_counts) override;
  void barrier(const Call& call) override;
  std::shared_ptr<Transport> split(const Call& call, int colour, int key) override;
  std::shared_ptr<Transport> split_shared(const Call& call) override;
  std::string algorithm(const Call&) const override { return "all to all"; }
  void close() override;
  [[noreturn]] void abort(const std::string& why, int exit_code) override;
  void abandon() noexcept override;

  // Messages of pairs of ranks; a part's peer counts in this communicator.
  void exchange(const Call& call, std::vector<TcpMesh::Part> sends,
                std::vector<TcpMesh::Part> receives);

 private:
  using Range = Communicator::Range;
  std::vector<int> others() const;
  void add_all(const Call& call, Tensor& x, Range own, Reduce op,
               const std::function<Range(int)>& wanted_by);

  std::shared_ptr<TcpMesh> mesh_;
  std::vector<int> members_;
  std::uint64_t group_;             // 0: the world
  std::vector<std::byte> staging_;  // kept
};

}  // namespace seqrank
