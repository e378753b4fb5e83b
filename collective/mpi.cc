// The MPI transport: reductions and gathers by a ring of our own, small sums by exchange of all
// with all, the rest by MPI's non-blocking calls. Nothing blocks inside MPI, so that a peer that
// never comes is noticed (mpi_wait.h); only splitting and MPI_Finalize do, right after a barrier
// and under guard.
#include "collective/mpi.h"

#include <fmt/format.h>
#include <mpi.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>

#include "collective/mpi_direct.h"
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
    case DType::f16:
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

class MpiTransport final : public Transport {
 public:
  MpiTransport(MPI_Comm comm, MpiLimits limits)
      : Transport(comm_rank(comm), comm_size(comm)),
        comm_(comm),
        limits_(limits),
        waiter_(comm, limits.patience),
        ring_(comm, waiter_, limits.message_bytes),
        direct_(comm, waiter_, limits.most_elements) {}

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
    if (is_direct(call)) {
      direct_.all_reduce(call, x, op);
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
    for (std::int64_t first = 0; first < call.count; first += limits_.most_elements) {
      const int n = static_cast<int>(std::min(limits_.most_elements, call.count - first));
      MPI_Request request;
      check_mpi(MPI_Ibcast(at(x, first), n, mpi_type(x.dtype()), root, comm_, &request), call);
      waiter_.one(request);
    }
  }

  void all_to_all_v(const Call& call, Tensor received, std::span<const std::int64_t> receive_counts,
                    Tensor sent, std::span<const std::int64_t> send_counts) override {
    if (kCompareCalls) compare_counts(call, receive_counts, send_counts);
    direct_.all_to_all_v(call, received, receive_counts, sent, send_counts);
  }

  void barrier(const Call& call) override {
    MPI_Request request;
    check_mpi(MPI_Ibarrier(comm_, &request), call);
    waiter_.one(request);
  }

  std::shared_ptr<Transport> split(const Call& call, int colour, int key) override {
    barrier(call);
    const MpiBlockGuard guard(call.str(), limits_.patience);
    MPI_Comm part = MPI_COMM_NULL;
    check_mpi(MPI_Comm_split(comm_, colour, key, &part), call);
    return std::make_shared<MpiTransport>(part, limits_);
  }

  std::shared_ptr<Transport> split_shared(const Call& call) override {
    barrier(call);
    const MpiBlockGuard guard(call.str(), limits_.patience);
    MPI_Comm part = MPI_COMM_NULL;
    check_mpi(MPI_Comm_split_type(comm_, MPI_COMM_TYPE_SHARED, rank(), MPI_INFO_NULL, &part), call);
    return std::make_shared<MpiTransport>(part, limits_);
  }

  std::string algorithm(const Call& call) const override {
    switch (call.operation) {
      case Operation::all_reduce:
        return is_direct(call) ? "direct" : "ring reduce-scatter, ring all-gather";
      case Operation::reduce_scatter:
      case Operation::all_gather:
        return "ring";
      case Operation::all_to_all_v:
      case Operation::all_to_all_counted:
        return "direct";
      default:
        return "Open MPI's";
    }
  }

  void close() override {
    const Call last{Operation::barrier};
    waiter_.begin(last);  // the patience counts from here, not from the last call, if there was one
    barrier(last);
    const MpiBlockGuard guard("closing a communicator", limits_.patience);
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
  bool is_direct(const Call& call) const {
    return call.bytes() <= limits_.direct_bytes && call.bytes() * size() <= kDirectTotal;
  }

  void compare_counts(const Call& call, std::span<const std::int64_t> receive_counts,
                      std::span<const std::int64_t> send_counts) {
    std::vector<std::int64_t> coming(size());
    MPI_Request request;
    check_mpi(MPI_Ialltoall(send_counts.data(), 1, MPI_INT64_T, coming.data(), 1, MPI_INT64_T,
                            comm_, &request),
              call);
    waiter_.one(request);
    for (int r = 0; r < size(); ++r)
      SR_CHECK(coming[r] == receive_counts[r], ErrorKind::peers,
               "{}: rank {} sends {} elements to rank {}, which expects {}", call.str(), r,
               coming[r], rank(), receive_counts[r]);
  }

  MPI_Comm comm_;
  MpiLimits limits_;
  MpiWaiter waiter_;
  MpiRing ring_;
  MpiDirect direct_;
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
