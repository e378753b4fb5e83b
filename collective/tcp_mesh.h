// The connections between all ranks of a TCP world, shared by its communicators: exchanges in which
// every message names its call, and the thread that notices a rank that failed or went. Knows no
// algorithms.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "collective/tcp_meeting.h"
#include "collective/transport.h"

namespace seqrank {

class TcpMesh {
 public:
  TcpMesh(TcpPeers peers, int rank, double patience);
  ~TcpMesh();

  int rank() const { return rank_; }
  int size() const { return static_cast<int>(peers_.data.size()); }
  int node(int rank) const { return peers_.nodes[rank]; }

  // One message to or from a rank of the world.
  struct Part {
    int peer;
    std::byte* data;
    std::int64_t bytes;
  };
  // One collective call's messages, at most one a peer each way; returns when all are through.
  // group: which communicator. Throws Error(peers) when a peer makes another call or sends another
  // number of bytes, is gone, or nothing moves for longer than the patience.
  void exchange(const Call& call, std::uint64_t group, const std::vector<Part>& sends,
                const std::vector<Part>& receives);

  // After a last barrier: takes leave, so that the others do not take this rank for dead.
  void close();
  // Lets an exchange that is under way fail, here and at the peers, as if this rank were gone;
  // takes leave. From any thread.
  void cut();
  // Ends every rank's process. From any thread; does not wait for anybody.
  [[noreturn]] void end_world(int exit_code);

 private:
  struct Frame {  // before a message
    std::uint64_t group;
    Call call;
    std::int64_t bytes;
  };
  struct Moving {  // a message under way
    Part part;
    Frame frame;
    std::int64_t done;  // of frame and data
  };
  bool send(const Call& call, Moving& message);     // whether anything moved
  bool receive(const Call& call, Moving& message);  // likewise
  void check_frame(const Call& call, std::uint64_t group, const Moving& message) const;
  void wait(const Call& call, Deadline::clock::time_point since);
  [[noreturn]] void gone(const Call& call, int peer) const;
  std::string name_of(int rank) const;
  void tell(int kind, int exit_code) const;
  void wake() const;
  void watch();  // what the thread does
  std::vector<int> read_notes(std::vector<int>& there) const;

  TcpPeers peers_;
  int rank_;
  double patience_;
  bool broken_ = false;
  std::uint64_t group_ = 0;               // of the exchange
  std::vector<Moving> sending_, coming_;  // of the exchange; those not yet through
  std::atomic<bool> closing_ = false, dropped_ = false;
  Socket wake_;  // the thread, from its poll()
  std::thread watcher_;
};

}  // namespace seqrank
