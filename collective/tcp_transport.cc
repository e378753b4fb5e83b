// Small sums go whole from all to all; the rest in pieces.
#include "collective/tcp_transport.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "collective/combine.h"

namespace seqrank {
namespace {

constexpr std::int64_t kDirectBytes = 1 << 12;  // up to here one latency counts for more

std::byte* bytes_of(Tensor& x) {
  return static_cast<std::byte*>(x.raw());
}

std::vector<int> all_ranks(int size) {
  std::vector<int> ranks(size);
  std::iota(ranks.begin(), ranks.end(), 0);
  return ranks;
}

}  // namespace

TcpTransport::TcpTransport(std::shared_ptr<TcpMesh> mesh)
    : TcpTransport(mesh, all_ranks(mesh->size()), mesh->rank(), 0) {}

TcpTransport::TcpTransport(std::shared_ptr<TcpMesh> mesh, std::vector<int> members, int rank,
                           std::uint64_t group)
    : Transport(rank, static_cast<int>(members.size())),
      mesh_(std::move(mesh)),
      members_(std::move(members)),
      group_(group) {}

void TcpTransport::all_reduce(const Call& call, Tensor x, Reduce op) {
  if (call.bytes() > kDirectBytes) {
    reduce_scatter(call, x, op);
    all_gather(call, x);
  } else {
    const Range whole{0, call.count};
    add_all(call, x, whole, op, [whole](int) { return whole; });
  }
}

void TcpTransport::reduce_scatter(const Call& call, Tensor x, Reduce op) {
  add_all(call, x, Communicator::piece_range(call.count, rank(), size()), op,
          [&](int r) { return Communicator::piece_range(call.count, r, size()); });
}

void TcpTransport::all_gather(const Call& call, Tensor x) {
  const auto width = static_cast<std::int64_t>(dtype_size(x.dtype()));
  const auto part = [&](int to, int piece) {
    const auto range = Communicator::piece_range(call.count, piece, size());
    return TcpMesh::Part{to, bytes_of(x) + range.begin * width, (range.end - range.begin) * width};
  };
  std::vector<TcpMesh::Part> sends, receives;
  for (int r : others()) {
    sends.push_back(part(r, rank()));
    receives.push_back(part(r, r));
  }
  exchange(call, std::move(sends), std::move(receives));
}

void TcpTransport::broadcast(const Call& call, Tensor x, int root) {
  std::vector<TcpMesh::Part> sends, receives;
  const auto bytes = static_cast<std::int64_t>(x.bytes());
  if (rank() == root) {
    for (int r : others()) sends.push_back({r, bytes_of(x), bytes});
  } else {
    receives.push_back({root, bytes_of(x), bytes});
  }
  exchange(call, std::move(sends), std::move(receives));
}

void TcpTransport::all_to_all_v(const Call& call, Tensor received,
                                std::span<const std::int64_t> receive_counts, Tensor sent,
                                std::span<const std::int64_t> send_counts) {
  const auto width = static_cast<std::int64_t>(dtype_size(call.dtype));
  SR_CHECK(send_counts[rank()] == receive_counts[rank()], ErrorKind::peers,
           "{}: rank {} sends {} elements to rank {}, which expects {}", call.str(), rank(),
           send_counts[rank()], rank(), receive_counts[rank()]);
  std::vector<TcpMesh::Part> sends, receives;
  TcpMesh::Part own_sent{}, own_received{};
  std::byte *from = bytes_of(sent), *to = bytes_of(received);
  for (int r = 0; r < size(); ++r) {
    const TcpMesh::Part out{r, from, send_counts[r] * width};
    const TcpMesh::Part in{r, to, receive_counts[r] * width};
    (r == rank() ? own_sent : sends.emplace_back()) = out;
    (r == rank() ? own_received : receives.emplace_back()) = in;
    from += out.bytes;
    to += in.bytes;
  }
  if (own_sent.bytes > 0) std::memcpy(own_received.data, own_sent.data, own_sent.bytes);
  exchange(call, std::move(sends), std::move(receives));
}

void TcpTransport::barrier(const Call& call) {
  std::vector<TcpMesh::Part> sends, receives;
  for (int r : others()) {
    sends.push_back({r, nullptr, 0});
    receives.push_back({r, nullptr, 0});
  }
  exchange(call, std::move(sends), std::move(receives));
}

std::shared_ptr<Transport> TcpTransport::split(const Call& call, int colour, int key) {
  struct Choice {
    int colour, key;
  };
  std::vector<Choice> choices(size());
  choices[rank()] = {colour, key};
  const auto part = [&](int to, int of) {
    return TcpMesh::Part{to, reinterpret_cast<std::byte*>(&choices[of]), sizeof(Choice)};
  };
  std::vector<TcpMesh::Part> sends, receives;
  for (int r : others()) {
    sends.push_back(part(r, rank()));
    receives.push_back(part(r, r));
  }
  exchange(call, std::move(sends), std::move(receives));
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

std::shared_ptr<Transport> TcpTransport::split_shared(const Call& call) {
  return split(call, mesh_->node(members_[rank()]), rank());
}

void TcpTransport::close() {
  barrier({Operation::barrier});
  if (group_ == 0) mesh_->close();
}

void TcpTransport::abort(const std::string&, int exit_code) {
  mesh_->end_world(exit_code);
}

void TcpTransport::abandon() noexcept {
  // A part is left to the world, whose owner still has the error to print.
  if (group_ == 0) mesh_->end_world(static_cast<int>(ErrorKind::peers));
}

// Ranks of this communicator, the next one first: not all start with the same.
std::vector<int> TcpTransport::others() const {
  std::vector<int> ranks;
  for (int i = 1; i < size(); ++i) ranks.push_back((rank() + i) % size());
  return ranks;
}

void TcpTransport::exchange(const Call& call, std::vector<TcpMesh::Part> sends,
                            std::vector<TcpMesh::Part> receives) {
  for (TcpMesh::Part& part : sends) part.peer = members_[part.peer];
  for (TcpMesh::Part& part : receives) part.peer = members_[part.peer];
  mesh_->exchange(call, group_, sends, receives);
}

// x[own] = the reduction over ranks, in their order. wanted_by(r): what rank r takes of x.
void TcpTransport::add_all(const Call& call, Tensor& x, Range own, Reduce op,
                           const std::function<Range(int)>& wanted_by) {
  const auto width = static_cast<std::int64_t>(dtype_size(x.dtype()));
  const std::int64_t bytes = (own.end - own.begin) * width;
  std::byte* mine = bytes_of(x) + own.begin * width;
  staging_.resize(static_cast<std::size_t>(bytes * size()));
  std::vector<TcpMesh::Part> sends, receives;
  for (int r : others()) {
    const Range wanted = wanted_by(r);
    sends.push_back({r, bytes_of(x) + wanted.begin * width, (wanted.end - wanted.begin) * width});
    receives.push_back({r, staging_.data() + r * bytes, bytes});
  }
  exchange(call, std::move(sends), std::move(receives));
  if (bytes == 0) return;  // fewer elements than ranks
  std::memcpy(staging_.data() + rank() * bytes, mine, bytes);
  std::memcpy(mine, staging_.data(), bytes);
  for (int r = 1; r < size(); ++r)
    combine(x.dtype(), mine, staging_.data() + r * bytes, own.end - own.begin, op);
}

}  // namespace seqrank
