// The lanes under way, each a small machine: post two messages, wait for both, add, next step.
#include "collective/mpi_ring.h"

#include <algorithm>

#include "collective/combine.h"

namespace seqrank {
namespace {

constexpr std::int64_t kLanes = 8;  // under way at once: they hide the latency of the network

}  // namespace

// One call. `ahead`: at step s a rank passes on piece rank - s - ahead.
struct MpiRing::Job {
  const Call& call;
  std::byte* data;
  std::int64_t width;  // bytes of an element
  std::int64_t lane_elements;
  std::int64_t lanes;
  int ahead;
  std::optional<Reduce> op;  // none: all_gather

  struct Range {
    std::byte* begin;
    std::int64_t bytes;
  };
  Range part(int piece, std::int64_t lane, int size) const {
    const auto range = Communicator::piece_range(call.count, ((piece % size) + size) % size, size);
    const std::int64_t begin = std::min(range.begin + lane * lane_elements, range.end);
    const std::int64_t end = std::min(begin + lane_elements, range.end);
    return {data + begin * width, (end - begin) * width};
  }
};

MpiRing::MpiRing(MPI_Comm comm, MpiWaiter& waiter, std::int64_t message_bytes)
    : comm_(comm), waiter_(waiter), message_bytes_(message_bytes) {
  check_mpi(MPI_Comm_rank(comm, &rank_), "MPI_Comm_rank");
  check_mpi(MPI_Comm_size(comm, &size_), "MPI_Comm_size");
}

void MpiRing::reduce_scatter(const Call& call, Tensor& x, Reduce op) {
  Job job{call, static_cast<std::byte*>(x.raw()), 0, 0, 0, 1, op};
  run(job);
}

void MpiRing::all_gather(const Call& call, Tensor& x) {
  Job job{call, static_cast<std::byte*>(x.raw()), 0, 0, 0, 0, std::nullopt};
  run(job);
}

void MpiRing::run(Job& job) {
  if (size_ == 1) return;
  job.width = static_cast<std::int64_t>(dtype_size(job.call.dtype));
  job.lane_elements = std::max<std::int64_t>(1, message_bytes_ / job.width);
  const std::int64_t longest = Communicator::piece_range(job.call.count, 0, size_).end;
  job.lanes = (longest + job.lane_elements - 1) / job.lane_elements;
  const std::int64_t slots = std::min(kLanes, job.lanes);
  const std::int64_t lane_bytes = std::min(longest, job.lane_elements) * job.width;
  if (job.op) staging_.resize(std::max<std::size_t>(staging_.size(), slots * lane_bytes));
  lanes_.assign(slots, Lane());
  requests_.assign(2 * slots, MPI_REQUEST_NULL);
  done_.resize(2 * slots);
  for (std::int64_t slot = 0; slot < slots; ++slot) {
    lanes_[slot] = {slot, 0, 0, job.op ? staging_.data() + slot * lane_bytes : nullptr};
    post(job, slot);
  }
  std::int64_t left = job.lanes;
  while (left > 0) {
    int count = 0;
    check_mpi(MPI_Testsome(static_cast<int>(requests_.size()), requests_.data(), &count,
                           done_.data(), MPI_STATUSES_IGNORE),
              job.call);
    if (count == 0) {
      waiter_.idle();
      continue;
    }
    waiter_.progressed();
    for (int i = 0; i < count; ++i) {
      const std::size_t slot = static_cast<std::size_t>(done_[i]) / 2;
      Lane& lane = lanes_[slot];
      if (--lane.pending > 0) continue;
      received(job, lane);
      if (++lane.step == size_ - 1) {
        --left;
        lane.index += slots;  // never another slot's: each slot's messages keep their order
        lane.step = 0;
        if (lane.index >= job.lanes) continue;
      }
      post(job, slot);
    }
  }
}

void MpiRing::post(Job& job, std::size_t slot) {
  Lane& lane = lanes_[slot];
  const int passed_on = rank_ - lane.step - job.ahead;
  const auto out = job.part(passed_on, lane.index, size_);
  const auto in = job.part(passed_on - 1, lane.index, size_);
  const int left = (rank_ + size_ - 1) % size_, right = (rank_ + 1) % size_;
  const int tag = static_cast<int>(slot);  // MPI keeps the order of messages of one tag
  check_mpi(MPI_Irecv(job.op ? lane.staging : in.begin, static_cast<int>(in.bytes), MPI_BYTE, left,
                      tag, comm_, &requests_[2 * slot]),
            job.call);
  check_mpi(MPI_Isend(out.begin, static_cast<int>(out.bytes), MPI_BYTE, right, tag, comm_,
                      &requests_[2 * slot + 1]),
            job.call);
  lane.pending = 2;
}

void MpiRing::received(Job& job, const Lane& lane) {
  if (!job.op) return;
  const auto in = job.part(rank_ - lane.step - job.ahead - 1, lane.index, size_);
  combine(job.call.dtype, in.begin, lane.staging, in.bytes / job.width, *job.op);
}

}  // namespace seqrank
