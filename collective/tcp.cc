// The TCP transport: everyone sends to everyone at once. A reduction sends each piece to the rank
// that owns it, which adds in the order of ranks and sends the sum to all: every byte crosses the
// network as often as in a ring, in two latencies. Not built for hundreds of ranks.
#include "collective/tcp.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "collective/combine.h"
#include "collective/tcp_mesh.h"
#include "collective/transport.h"

namespace seqrank {
namespace {

// Small sums go whole from all to all: one latency.
constexpr std::int64_t kDirectBytes = 1 << 12;

std::byte* bytes_of(Tensor& x) {
  return static_cast<std::byte*>(x.raw());
}

class TcpTransport final : public Transport {
 public:
  // members: ranks of the world, by this communicator's rank.
  TcpTransport(std::shared_ptr<TcpMesh> mesh, std::vector<int> members, int rank,
               std::uint64_t group)
      : Transport(rank, static_cast<int>(members.size())),
        mesh_(std::move(mesh)),
        members_(std::move(members)),
        group_(group) {}

  void agree(const Call&) override {}  // every message names its call

  void all_reduce(const Call& call, Tensor x, Reduce op) override {
    if (call.bytes() > kDirectBytes) {
      reduce_scatter(call, x, op);
      all_gather(call, x);
    } else {
      const Range whole{0, call.count};
      add_all(call, x, whole, op, [whole](int) { return whole; });
    }
  }

  void reduce_scatter(const Call& call, Tensor x, Reduce op) override {
    add_all(call, x, Communicator::piece_range(call.count, rank(), size()), op,
            [&](int r) { return Communicator::piece_range(call.count, r, size()); });
  }

  void all_gather(const Call& call, Tensor x) override {
    const auto width = static_cast<std::int64_t>(dtype_size(x.dtype()));
    const auto part = [&](int to, int piece) {
      const auto range = Communicator::piece_range(call.count, piece, size());
      return TcpMesh::Part{members_[to], bytes_of(x) + range.begin * width,
                           (range.end - range.begin) * width};
    };
    clear();
    for (int r : others()) {
      sends_.push_back(part(r, rank()));
      receives_.push_back(part(r, r));
    }
    exchange(call);
  }

  void broadcast(const Call& call, Tensor x, int root) override {
    clear();
    const auto bytes = static_cast<std::int64_t>(x.bytes());
    if (rank() == root) {
      for (int r : others()) sends_.push_back({members_[r], bytes_of(x), bytes});
    } else {
      receives_.push_back({members_[root], bytes_of(x), bytes});
    }
    exchange(call);
  }

  void all_to_all_v(const Call& call, Tensor received, std::span<const std::int64_t> receive_counts,
                    Tensor sent, std::span<const std::int64_t> send_counts) override {
    const auto width = static_cast<std::int64_t>(dtype_size(call.dtype));
    SR_CHECK(send_counts[rank()] == receive_counts[rank()], ErrorKind::peers,
             "{}: rank {} sends {} elements to rank {}, which expects {}", call.str(), rank(),
             send_counts[rank()], rank(), receive_counts[rank()]);
    clear();
    TcpMesh::Part own_sent{}, own_received{};
    std::byte *from = bytes_of(sent), *to = bytes_of(received);
    for (int r = 0; r < size(); ++r) {
      const TcpMesh::Part out{members_[r], from, send_counts[r] * width};
      const TcpMesh::Part in{members_[r], to, receive_counts[r] * width};
      (r == rank() ? own_sent : sends_.emplace_back()) = out;
      (r == rank() ? own_received : receives_.emplace_back()) = in;
      from += out.bytes;
      to += in.bytes;
    }
    if (own_sent.bytes > 0) std::memcpy(own_received.data, own_sent.data, own_sent.bytes);
    exchange(call);
  }

  void barrier(const Call& call) override {
    clear();
    for (int r : others()) {
      sends_.push_back({members_[r], nullptr, 0});
      receives_.push_back({members_[r], nullptr, 0});
    }
    exchange(call);
  }

  std::shared_ptr<Transport> split(const Call& call, int colour, int key) override {
    struct Choice {
      int colour, key;
    };
    std::vector<Choice> choices(size());
    choices[rank()] = {colour, key};
    const auto part = [&](int to, int of) {
      return TcpMesh::Part{members_[to], reinterpret_cast<std::byte*>(&choices[of]),
                           sizeof(Choice)};
    };
    clear();
    for (int r : others()) {
      sends_.push_back(part(r, rank()));
      receives_.push_back(part(r, r));
    }
    exchange(call);
    std::vector<int> ranks;  // of this communicator
    for (int r = 0; r < size(); ++r)
      if (choices[r].colour == colour) ranks.push_back(r);
    std::ranges::stable_sort(ranks, {}, [&](int r) { return choices[r].key; });
    std::vector<int> members;
    for (int r : ranks) members.push_back(members_[r]);
    const auto place = static_cast<int>(std::ranges::find(ranks, rank()) - ranks.begin());
    // Of no other communicator, as long as nobody splits four thousand million times.
    const std::uint64_t group = group_ * 0x9E3779B97F4A7C15u +
                                static_cast<std::uint64_t>(call.sequence + 1) * 0x100000001B3u +
                                static_cast<std::uint64_t>(colour);
    return std::make_shared<TcpTransport>(mesh_, std::move(members), place, group);
  }

  std::shared_ptr<Transport> split_shared(const Call& call) override {
    return split(call, mesh_->node(members_[rank()]), rank());
  }

  std::string algorithm(const Call&) const override { return "all to all"; }

  void close() override {
    barrier({Operation::barrier});
    if (group_ == 0) mesh_->close();
  }
  [[noreturn]] void abort(const std::string&, int exit_code) override {
    mesh_->end_world(exit_code);
  }
  void abandon() noexcept override {
    // A part is left to the world, whose owner still has the error to print.
    if (group_ == 0) mesh_->end_world(static_cast<int>(ErrorKind::peers));
  }

 private:
  using Range = Communicator::Range;

  // Ranks of this communicator, the next one first: not all start with the same.
  std::vector<int> others() const {
    std::vector<int> ranks;
    for (int i = 1; i < size(); ++i) ranks.push_back((rank() + i) % size());
    return ranks;
  }
  void clear() {
    sends_.clear();
    receives_.clear();
  }
  void exchange(const Call& call) { mesh_->exchange(call, group_, sends_, receives_); }

  // x[own] = the reduction over ranks, in their order. range_of(r): what rank r wants of x.
  template <class F>
  void add_all(const Call& call, Tensor& x, Range own, Reduce op, F&& range_of) {
    const auto width = static_cast<std::int64_t>(dtype_size(x.dtype()));
    const std::int64_t bytes = (own.end - own.begin) * width;
    std::byte* mine = bytes_of(x) + own.begin * width;
    staging_.resize(static_cast<std::size_t>(bytes * size()));
    clear();
    for (int r : others()) {
      const Range wanted = range_of(r);
      sends_.push_back(
          {members_[r], bytes_of(x) + wanted.begin * width, (wanted.end - wanted.begin) * width});
      receives_.push_back({members_[r], staging_.data() + r * bytes, bytes});
    }
    exchange(call);
    std::memcpy(staging_.data() + rank() * bytes, mine, bytes);
    std::memcpy(mine, staging_.data(), bytes);
    for (int r = 1; r < size(); ++r)
      combine(x.dtype(), mine, staging_.data() + r * bytes, own.end - own.begin, op);
  }

  std::shared_ptr<TcpMesh> mesh_;
  std::vector<int> members_;
  std::uint64_t group_;                          // 0: the world
  std::vector<TcpMesh::Part> sends_, receives_;  // kept
  std::vector<std::byte> staging_;               // kept
};

}  // namespace

std::unique_ptr<Communicator> make_tcp_communicator(const TcpMeeting& meeting, double patience) {
  SR_CHECK(meeting.size >= 1 && meeting.rank >= 0 && meeting.rank < meeting.size, ErrorKind::peers,
           "rank {} of {}; WORLD_SIZE must be 1 at least, and RANK from 0 to less than that",
           meeting.rank, meeting.size);
  auto mesh = std::make_shared<TcpMesh>(meet(meeting), meeting.rank, patience);
  std::vector<int> members(meeting.size);
  for (int r = 0; r < meeting.size; ++r) members[r] = r;
  auto world = std::make_shared<TcpTransport>(std::move(mesh), std::move(members), meeting.rank, 0);
  return std::make_unique<Communicator>(std::move(world), make_worker_stream());
}

}  // namespace seqrank
