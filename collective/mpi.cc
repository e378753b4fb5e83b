// The MPI transport: reductions and gathers by a ring of our own, small sums by exchange of all
// with all, the rest by MPI's non-blocking calls. Nothing blocks inside MPI, so that a peer that
// never comes is noticed (mpi_wait.h); only splitting and MPI_Finalize do, right after a barrier.
#include "collective/mpi.h"

#include <fmt/format.h>
#include <mpi.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "collective/mpi_ring.h"
#include "collective/mpi_wait.h"
#include "collective/transport.h"

namespace seqrank {
namespace {

#ifdef NDEBUG
constexpr bool kCompareCalls = false;
#else
constexpr bool kCompareCalls = true;  // one small message more a call
#endif

constexpr std::int64_t kDirectTotal = 1 << 20;  // bytes a rank receives in a direct all_reduce
constexpr int kExchangeTag = 1000;              // beyond those of the ring's lanes
constexpr unsigned kAbortSeconds = 5;

MPI_Datatype mpi_type(DType type) {
  switch (type) {
    case DType::f32:
      return MPI_FLOAT;
    case DType::f64:
      return MPI_DOUBLE;
    case DType::i32:
      return MPI_INT32_T;
    case DType::i64:
      return MPI_INT64_T;
    case DType::bf16:  // moved, never reduced
      return MPI_UINT16_T;
    case DType::u8:
      return MPI_UINT8_T;
  }
  return MPI_DATATYPE_NULL;
}

int comm_rank(MPI_Comm comm) {
  int rank = 0;
  check_mpi(MPI_Comm_rank(comm, &rank), "MPI_Comm_rank");
  return rank;
}

int comm_size(MPI_Comm comm) {
  int size = 0;
  check_mpi(MPI_Comm_size(comm, &size), "MPI_Comm_size");
  return size;
}

std::byte* at(Tensor& x, std::int64_t element) {
  return static_cast<std::byte*>(x.raw()) +
         element * static_cast<std::int64_t>(dtype_size(x.dtype()));
}

[[noreturn]] void end_world(int exit_code) {
  ::signal(SIGALRM, SIG_DFL);
  ::alarm(kAbortSeconds);  // telling the launcher may hang when its host is out of reach
  MPI_Abort(MPI_COMM_WORLD, exit_code);
  std::_Exit(exit_code);  // MPI_Abort need not return, but may
}

class MpiTransport final : public Transport {
 public:
  MpiTransport(MPI_Comm comm, MpiLimits limits)
      : Transport(comm_rank(comm), comm_size(comm)),
        comm_(comm),
        limits_(limits),
        waiter_(comm, limits.patience),
        ring_(comm, waiter_, limits.message_bytes) {}

  void agree(const Call& call) override {
    waiter_.begin(call);
    if (!kCompareCalls) return;
    std::vector<Call> calls(size(), call);
    const int bytes = static_cast<int>(sizeof(Call));
    MPI_Request request;
    check_mpi(
        MPI_Iallgather(&call, bytes, MPI_BYTE, calls.data(), bytes, MPI_BYTE, comm_, &request),
        call);
    waiter_.one(request);
    check_same_call(calls);
  }

  void all_reduce(const Call& call, Tensor x, Reduce op) override {
    if (direct(call)) {
      exchange_all(call, x, op);
    } else {
      ring_.reduce_scatter(call, x, op);
      ring_.all_gather(call, x);
    }
  }

  void reduce_scatter(const Call& call, Tensor x, Reduce op) override {
    ring_.reduce_scatter(call, x, op);
  }

  void all_gather(const Call& call, Tensor x) override { ring_.all_gather(call, x); }

  void broadcast(const Call& call, Tensor x, int root) override {
    broadcast_range(call, x, {0, call.count}, root);
  }

  // Messages to and from every rank with a count, all at once. MPI_Alltoallv would limit the sum of
  // the counts to int, and makes size() messages even when few are needed.
  void all_to_all_v(const Call& call, Tensor received, std::span<const std::int64_t> receive_counts,
                    Tensor sent, std::span<const std::int64_t> send_counts) override {
    if (kCompareCalls) compare_counts(call, receive_counts, send_counts);
    // Before anything is posted: an error must not leave MPI writing to memory that goes away.
    SR_CHECK(receive_counts[rank()] == send_counts[rank()], ErrorKind::peers,
             "{}: rank {} sends itself {} elements and expects {}", call.str(), rank(),
             send_counts[rank()], receive_counts[rank()]);
    std::vector<MPI_Request> requests;
    std::vector<int> expected;
    std::int64_t to_self = 0, from_self = 0;
    std::int64_t begin = 0;
    for (int r = 0; r < size(); begin += receive_counts[r++]) {
      if (r == rank()) to_self = begin;
      if (r == rank()) continue;
      for_chunks(begin, receive_counts[r], [&](std::int64_t first, int n) {
        check_mpi(MPI_Irecv(at(received, first), n, mpi_type(received.dtype()), r, kExchangeTag,
                            comm_, &requests.emplace_back()),
                  call);
        expected.push_back(n);
      });
    }
    begin = 0;
    for (int r = 0; r < size(); begin += send_counts[r++]) {
      if (r == rank()) from_self = begin;
      if (r == rank()) continue;
      for_chunks(begin, send_counts[r], [&](std::int64_t first, int n) {
        check_mpi(MPI_Isend(at(sent, first), n, mpi_type(sent.dtype()), r, kExchangeTag, comm_,
                            &requests.emplace_back()),
                  call);
      });
    }
    std::memcpy(at(received, to_self), at(sent, from_self),
                send_counts[rank()] * dtype_size(sent.dtype()));
    finish(call, received.dtype(), requests, expected);
  }

  void barrier(const Call& call) override {
    MPI_Request request;
    check_mpi(MPI_Ibarrier(comm_, &request), call);
    waiter_.one(request);
  }

  std::shared_ptr<Transport> split(const Call& call, int colour, int key) override {
    barrier(call);
    MPI_Comm part = MPI_COMM_NULL;
    check_mpi(MPI_Comm_split(comm_, colour, key, &part), call);
    return std::make_shared<MpiTransport>(part, limits_);
  }

  std::shared_ptr<Transport> split_shared(const Call& call) override {
    barrier(call);
    MPI_Comm part = MPI_COMM_NULL;
    check_mpi(MPI_Comm_split_type(comm_, MPI_COMM_TYPE_SHARED, rank(), MPI_INFO_NULL, &part), call);
    return std::make_shared<MpiTransport>(part, limits_);
  }

  std::string algorithm(const Call& call) const override {
    switch (call.operation) {
      case Operation::all_reduce:
        return direct(call) ? "direct" : "ring reduce-scatter, ring all-gather";
      case Operation::reduce_scatter:
      case Operation::all_gather:
        return "ring";
      case Operation::all_to_all_v:
        return "direct";
      default:
        return "Open MPI's";
    }
  }

  void close() override {
    barrier({Operation::barrier});
    waiter_.close();
    if (comm_ == MPI_COMM_WORLD) {
      check_mpi(MPI_Finalize(), "MPI_Finalize");
    } else {
      check_mpi(MPI_Comm_free(&comm_), "MPI_Comm_free");
    }
  }

  [[noreturn]] void abort(const std::string&, int exit_code) override {
    std::fflush(nullptr);
    end_world(exit_code);
  }
  void abandon() noexcept override {
    // A part is left to the world, whose owner still has the error to print.
    if (comm_ == MPI_COMM_WORLD) end_world(static_cast<int>(ErrorKind::peers));
  }

 private:
  // One latency, but size() - 1 messages.
  bool direct(const Call& call) const {
    return call.bytes() <= limits_.direct_bytes && call.bytes() * size() <= kDirectTotal;
  }

  // Everyone's x to everyone, added in the order of ranks: the same bits on all.
  void exchange_all(const Call& call, Tensor& x, Reduce op) {
    const std::int64_t bytes = call.bytes();
    received_.resize(static_cast<std::size_t>(bytes * size()));
    std::vector<MPI_Request> requests;
    for (int i = 1; i < size(); ++i) {
      const int from = (rank() + size() - i) % size();
      check_mpi(MPI_Irecv(received_.data() + from * bytes, static_cast<int>(bytes), MPI_BYTE, from,
                          kExchangeTag, comm_, &requests.emplace_back()),
                call);
    }
    for (int i = 1; i < size(); ++i)
      check_mpi(MPI_Isend(x.raw(), static_cast<int>(bytes), MPI_BYTE, (rank() + i) % size(),
                          kExchangeTag, comm_, &requests.emplace_back()),
                call);
    waiter_.all(requests);
    std::memcpy(received_.data() + rank() * bytes, x.raw(), bytes);
    std::memcpy(x.raw(), received_.data(), bytes);
    for (int r = 1; r < size(); ++r)
      combine(x.dtype(), at(x, 0), received_.data() + r * bytes, call.count, op);
  }

  template <class F>
  void for_chunks(std::int64_t begin, std::int64_t count, F&& f) const {
    const std::int64_t end = begin + count;
    for (std::int64_t first = begin; first < end; first += limits_.most_elements)
      f(first, static_cast<int>(std::min(limits_.most_elements, end - first)));
  }

  void broadcast_range(const Call& call, Tensor& x, Communicator::Range range, int root) {
    for_chunks(range.begin, range.end - range.begin, [&](std::int64_t first, int n) {
      MPI_Request request;
      check_mpi(MPI_Ibcast(at(x, first), n, mpi_type(x.dtype()), root, comm_, &request), call);
      waiter_.one(request);
    });
  }

  void compare_counts(const Call& call, std::span<const std::int64_t> receive_counts,
                      std::span<const std::int64_t> send_counts) {
    std::vector<std::int64_t> coming(size());
    MPI_Request request;
    check_mpi(MPI_Ialltoall(send_counts.data(), 1, MPI_INT64_T, coming.data(), 1, MPI_INT64_T,
                            comm_, &request),
              call);
    waiter_.one(request);
    for (int r = 0; r < size(); ++r) check_expected(call, r, coming[r], receive_counts[r]);
  }

  void check_expected(const Call& call, int from, std::int64_t sent, std::int64_t expected) const {
    SR_CHECK(sent == expected, ErrorKind::peers,
             "{}: rank {} sends {} elements to rank {}, which expects {}", call.str(), from, sent,
             rank(), expected);
  }

  // The first expected.size() requests are receives.
  void finish(const Call& call, DType type, std::vector<MPI_Request>& requests,
              std::span<const int> expected) {
    std::vector<MPI_Status> statuses(requests.size());
    waiter_.all(requests, statuses);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      int n = 0;
      check_mpi(MPI_Get_count(&statuses[i], mpi_type(type), &n), call);
      check_expected(call, statuses[i].MPI_SOURCE, n, expected[i]);
    }
  }

  MPI_Comm comm_;
  MpiLimits limits_;
  MpiWaiter waiter_;
  MpiRing ring_;
  std::vector<std::byte> received_;  // of exchange_all, kept
};

std::shared_ptr<Transport> initialise(MpiLimits limits) {
  int provided = 0;
  check_mpi(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided), "MPI_Init_thread");
  check_mpi(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  SR_CHECK(provided >= MPI_THREAD_SERIALIZED, ErrorKind::peers,
           "this MPI library lacks MPI_THREAD_SERIALIZED; use one built with thread support");
  return std::make_shared<MpiTransport>(MPI_COMM_WORLD, limits);
}

}  // namespace

std::unique_ptr<Communicator> make_mpi_communicator(MpiLimits limits) {
  static std::atomic<bool> made = false;
  SR_CHECK(!made.exchange(true), ErrorKind::peers,
           "MPI can be initialised once a process; pass the first communicator on");
  std::shared_ptr<Stream> stream = make_worker_stream();
  std::shared_ptr<Transport> world;
  stream->enqueue([&] { world = initialise(limits); });
  stream->synchronize();
  return std::make_unique<Communicator>(std::move(world), std::move(stream));
}

std::string mpi_library_version() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING] = "";
  int length = 0;
  MPI_Get_library_version(text, &length);
  const std::string version = text;
  return version.substr(0, version.find_first_of(",\n"));  // what follows is who packaged it
}

}  // namespace seqrank
