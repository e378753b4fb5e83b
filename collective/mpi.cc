// The MPI transport. Reductions are cut into pieces that stay in the cache, counts beyond int into
// several calls. Sums are MPI's own: for one size, type and number of ranks Open MPI adds in a
// fixed order, the same on all ranks. No watchdog: a rank that never comes is waited for.
#include "collective/mpi.h"

#include <fmt/format.h>
#include <mpi.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>

#include "collective/transport.h"

namespace seqrank {
namespace {

#ifdef NDEBUG
constexpr bool kCompareCalls = false;
#else
constexpr bool kCompareCalls = true;  // one small message more a call
#endif

void check_mpi(int code, const std::string& what) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  MPI_Error_string(code, text, &length);
  throw Error(ErrorKind::peers,
              fmt::format("{}: {}; look for the first message of another rank", what, text));
}
void check_mpi(int code, const Call& call) {
  if (code != MPI_SUCCESS) check_mpi(code, call.str());
}

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

MPI_Op mpi_op(Reduce op) {
  switch (op) {
    case Reduce::sum:
      return MPI_SUM;
    case Reduce::max:
      return MPI_MAX;
    case Reduce::min:
      return MPI_MIN;
  }
  return MPI_OP_NULL;
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
  MPI_Abort(MPI_COMM_WORLD, exit_code);
  std::_Exit(exit_code);  // MPI_Abort need not return, but may
}

class MpiTransport final : public Transport {
 public:
  MpiTransport(MPI_Comm comm, MpiLimits limits)
      : Transport(comm_rank(comm), comm_size(comm)), comm_(comm), limits_(limits) {}

  void agree(const Call& call) override {
    if (!kCompareCalls) return;
    std::vector<Call> calls(size(), call);
    const int bytes = static_cast<int>(sizeof(Call));
    check_mpi(MPI_Allgather(&call, bytes, MPI_BYTE, calls.data(), bytes, MPI_BYTE, comm_), call);
    check_same_call(calls);
  }

  void all_reduce(const Call& call, Tensor x, Reduce op) override {
    const std::int64_t step = piece_elements(x.dtype());
    for (std::int64_t begin = 0; begin < call.count; begin += step) {
      const int n = static_cast<int>(std::min(step, call.count - begin));
      check_mpi(
          MPI_Allreduce(MPI_IN_PLACE, at(x, begin), n, mpi_type(x.dtype()), mpi_op(op), comm_),
          call);
    }
  }

  // MPI wants the ranks' parts side by side: a part of every rank's piece is packed each time.
  void reduce_scatter(const Call& call, Tensor x, Reduce op) override {
    const std::int64_t width = static_cast<std::int64_t>(dtype_size(x.dtype()));
    const std::int64_t step = std::max<std::int64_t>(1, piece_elements(x.dtype()) / size());
    const auto mine = Communicator::piece_range(call.count, rank(), size());
    const std::int64_t longest = Communicator::piece_range(call.count, 0, size()).end;
    packed_.resize(std::min(step, longest) * size() * width);
    reduced_.resize(std::min(step, longest) * width);
    std::vector<int> counts(size());
    for (std::int64_t begin = 0; begin < longest; begin += step) {
      std::byte* to = packed_.data();
      for (int r = 0; r < size(); ++r) {
        const auto piece = Communicator::piece_range(call.count, r, size());
        const std::int64_t n = std::clamp<std::int64_t>(piece.end - piece.begin - begin, 0, step);
        if (n > 0) std::memcpy(to, at(x, piece.begin + begin), n * width);
        counts[r] = static_cast<int>(n);
        to += n * width;
      }
      check_mpi(MPI_Reduce_scatter(packed_.data(), reduced_.data(), counts.data(),
                                   mpi_type(x.dtype()), mpi_op(op), comm_),
                call);
      if (counts[rank()] > 0)
        std::memcpy(at(x, mine.begin + begin), reduced_.data(), counts[rank()] * width);
    }
  }

  void all_gather(const Call& call, Tensor x) override {
    if (call.count > limits_.most_elements) {  // displacements are int too
      for (int r = 0; r < size(); ++r) {
        const auto piece = Communicator::piece_range(call.count, r, size());
        broadcast_range(call, x, piece, r);
      }
      return;
    }
    std::vector<int> counts(size()), begins(size());
    for (int r = 0; r < size(); ++r) {
      const auto piece = Communicator::piece_range(call.count, r, size());
      counts[r] = static_cast<int>(piece.end - piece.begin);
      begins[r] = static_cast<int>(piece.begin);
    }
    check_mpi(MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, x.raw(), counts.data(),
                             begins.data(), mpi_type(x.dtype()), comm_),
              call);
  }

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
        check_mpi(MPI_Irecv(at(received, first), n, mpi_type(received.dtype()), r, 0, comm_,
                            &requests.emplace_back()),
                  call);
        expected.push_back(n);
      });
    }
    begin = 0;
    for (int r = 0; r < size(); begin += send_counts[r++]) {
      if (r == rank()) from_self = begin;
      if (r == rank()) continue;
      for_chunks(begin, send_counts[r], [&](std::int64_t first, int n) {
        check_mpi(MPI_Isend(at(sent, first), n, mpi_type(sent.dtype()), r, 0, comm_,
                            &requests.emplace_back()),
                  call);
      });
    }
    std::memcpy(at(received, to_self), at(sent, from_self),
                send_counts[rank()] * dtype_size(sent.dtype()));
    finish(call, received.dtype(), requests, expected);
  }

  void barrier(const Call& call) override { check_mpi(MPI_Barrier(comm_), call); }

  std::shared_ptr<Transport> split(const Call& call, int colour, int key) override {
    MPI_Comm part = MPI_COMM_NULL;
    check_mpi(MPI_Comm_split(comm_, colour, key, &part), call);
    return std::make_shared<MpiTransport>(part, limits_);
  }

  std::shared_ptr<Transport> split_shared(const Call& call) override {
    MPI_Comm part = MPI_COMM_NULL;
    check_mpi(MPI_Comm_split_type(comm_, MPI_COMM_TYPE_SHARED, rank(), MPI_INFO_NULL, &part), call);
    return std::make_shared<MpiTransport>(part, limits_);
  }

  std::string algorithm(const Call&) const override { return "Open MPI's"; }

  void close() override {
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
  std::int64_t piece_elements(DType type) const {
    const auto width = static_cast<std::int64_t>(dtype_size(type));
    return std::clamp<std::int64_t>(limits_.piece_bytes / width, 1, limits_.most_elements);
  }

  template <class F>
  void for_chunks(std::int64_t begin, std::int64_t count, F&& f) const {
    const std::int64_t end = begin + count;
    for (std::int64_t first = begin; first < end; first += limits_.most_elements)
      f(first, static_cast<int>(std::min(limits_.most_elements, end - first)));
  }

  void broadcast_range(const Call& call, Tensor& x, Communicator::Range range, int root) {
    for_chunks(range.begin, range.end - range.begin, [&](std::int64_t first, int n) {
      check_mpi(MPI_Bcast(at(x, first), n, mpi_type(x.dtype()), root, comm_), call);
    });
  }

  void compare_counts(const Call& call, std::span<const std::int64_t> receive_counts,
                      std::span<const std::int64_t> send_counts) {
    std::vector<std::int64_t> coming(size());
    check_mpi(
        MPI_Alltoall(send_counts.data(), 1, MPI_INT64_T, coming.data(), 1, MPI_INT64_T, comm_),
        call);
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
    const int code =
        MPI_Waitall(static_cast<int>(requests.size()), requests.data(), statuses.data());
    if (code == MPI_ERR_IN_STATUS)
      for (const MPI_Status& status : statuses) check_mpi(status.MPI_ERROR, call);
    check_mpi(code, call);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      int n = 0;
      check_mpi(MPI_Get_count(&statuses[i], mpi_type(type), &n), call);
      check_expected(call, statuses[i].MPI_SOURCE, n, expected[i]);
    }
  }

  MPI_Comm comm_;
  MpiLimits limits_;
  std::vector<std::byte> packed_, reduced_;  // of reduce_scatter, kept
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

}  // namespace seqrank
