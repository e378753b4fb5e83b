// Posts everything, then waits for everything.
#include "collective/mpi_direct.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "collective/combine.h"

namespace seqrank {
namespace {

constexpr int kTag = 1000;  // beyond those of the ring's lanes

std::byte* bytes_of(Tensor& x) {
  return static_cast<std::byte*>(x.raw());
}

}  // namespace

MpiDirect::MpiDirect(MPI_Comm comm, MpiWaiter& waiter, std::int64_t most_bytes)
    : comm_(comm), waiter_(waiter), most_bytes_(most_bytes) {
  check_mpi(MPI_Comm_rank(comm, &rank_), "MPI_Comm_rank");
  check_mpi(MPI_Comm_size(comm, &size_), "MPI_Comm_size");
}

// Messages go as bytes, cut where a count would not fit into MPI's int.
void MpiDirect::receive(const Call& call, std::byte* to, std::int64_t bytes, int from) {
  for (std::int64_t begin = 0; begin < bytes; begin += most_bytes_) {
    const std::int64_t n = std::min(most_bytes_, bytes - begin);
    check_mpi(MPI_Irecv(to + begin, static_cast<int>(n), MPI_BYTE, from, kTag, comm_,
                        &requests_.emplace_back()),
              call);
    expected_.push_back(n);
  }
}

void MpiDirect::send(const Call& call, const std::byte* from, std::int64_t bytes, int to) {
  for (std::int64_t begin = 0; begin < bytes; begin += most_bytes_) {
    const std::int64_t n = std::min(most_bytes_, bytes - begin);
    check_mpi(MPI_Isend(from + begin, static_cast<int>(n), MPI_BYTE, to, kTag, comm_,
                        &requests_.emplace_back()),
              call);
  }
}

void MpiDirect::all_reduce(const Call& call, Tensor& x, Reduce op) {
  const std::int64_t bytes = call.bytes();
  received_.resize(static_cast<std::size_t>(bytes * size_));
  requests_.clear();
  expected_.clear();
  for (int i = 1; i < size_; ++i) {
    const int from = (rank_ + size_ - i) % size_;
    receive(call, received_.data() + from * bytes, bytes, from);
  }
  for (int i = 1; i < size_; ++i) send(call, bytes_of(x), bytes, (rank_ + i) % size_);
  waiter_.all(requests_);
  std::memcpy(received_.data() + rank_ * bytes, x.raw(), bytes);
  std::memcpy(x.raw(), received_.data(), bytes);
  for (int r = 1; r < size_; ++r)
    combine(x.dtype(), bytes_of(x), received_.data() + r * bytes, call.count, op);
}

// MPI_Alltoallv would limit the sum of the counts to int, and makes a message for every peer even
// where few are needed.
void MpiDirect::all_to_all_v(const Call& call, Tensor& received,
                             std::span<const std::int64_t> receive_counts, Tensor& sent,
                             std::span<const std::int64_t> send_counts) {
  const auto width = static_cast<std::int64_t>(dtype_size(call.dtype));
  // Before anything is posted: an error must not leave MPI writing to memory that goes away.
  check_expected(call, rank_, send_counts[rank_], receive_counts[rank_], 1);
  requests_.clear();
  expected_.clear();
  std::byte *to_self = nullptr, *to = bytes_of(received), *from = bytes_of(sent);
  for (int r = 0; r < size_; to += width * receive_counts[r++]) {
    if (r == rank_) {
      to_self = to;
    } else {
      receive(call, to, width * receive_counts[r], r);
    }
  }
  for (int r = 0; r < size_; from += width * send_counts[r++]) {
    if (r == rank_) {
      std::memcpy(to_self, from, width * send_counts[r]);
    } else {
      send(call, from, width * send_counts[r], r);
    }
  }
  statuses_.resize(requests_.size());
  waiter_.all(requests_, statuses_);
  for (std::size_t i = 0; i < expected_.size(); ++i) {
    int bytes = 0;
    check_mpi(MPI_Get_count(&statuses_[i], MPI_BYTE, &bytes), call);
    check_expected(call, statuses_[i].MPI_SOURCE, bytes, expected_[i], width);
  }
}

// `sent` and `expected` in units of which `width` make an element.
void MpiDirect::check_expected(const Call& call, int from, std::int64_t sent, std::int64_t expected,
                               std::int64_t width) const {
  SR_CHECK(sent == expected, ErrorKind::peers,
           "{}: rank {} sends {} elements to rank {}, which expects {}", call.str(), from,
           sent / width, rank_, expected / width);
}

}  // namespace seqrank
