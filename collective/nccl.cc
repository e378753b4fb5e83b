// The NCCL transport: enqueues on a stream of its own, keeps tensors until the device is done with
// them, and has a thread look after what is under way. What only hosts can do (barriers, who goes
// into which part, the comparison of calls) goes through a communicator of the host.
#include "collective/nccl.h"

#include <cstdio>
#include <cstring>
#include <exception>
#include <thread>
#include <utility>

#include "backend/cuda/runtime.h"
#include "backend/device.h"
#include "backend/keeper.h"
#include "backend/stopwatch.h"
#include "collective/nccl_comm.h"
#include "collective/nccl_watch.h"
#include "collective/transport.h"

namespace seqrank {
namespace {

#ifdef NDEBUG
constexpr bool kCompareCalls = false;
#else
constexpr bool kCompareCalls = true;
#endif

constexpr double kSpinSeconds = 1e-3;  // longer than a call takes to reach its stream
constexpr auto kPause = std::chrono::microseconds(200);

// What a communicator and its parts share.
struct NcclLine {
  NcclLine(int ordinal, double patience_seconds, std::function<void(const std::string&)> on_failure)
      : stream(make_cuda_stream(ordinal, "nccl")),
        patience(patience_seconds),
        watch(patience_seconds, std::move(on_failure)) {}
  // What is kept must not go before what works on it, which an abort has ended if nothing else.
  ~NcclLine() {
    try {
      stream->synchronize();
    } catch (const Error&) {  // the device's: whoever waited for a result has it, too
    }
  }
  cudaStream_t get() const { return static_cast<cuda::CudaStream&>(*stream).get(); }

  std::shared_ptr<Stream> stream;
  double patience;
  Keeper keeper;
  NcclWatch watch;
};

// Until what was begun on `comm` has reached the stream. Takes longer where ranks connect.
void settle(NcclComm& comm, const std::string& what, double patience) {
  const Stopwatch watch;
  while (!comm.settled()) {
    const double waited = watch.seconds();
    if (patience > 0 && waited > patience) {
      comm.abort();
      throw Error(ErrorKind::peers,
                  fmt::format("{}: {:.0f} s without progress: a rank has not come to this call, or "
                              "the network is down; look for the rank that says nothing, its "
                              "process and its host",
                              what, waited));
    }
    if (waited < kSpinSeconds) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(kPause);
    }
  }
}

class NcclTransport final : public Transport {
 public:
  NcclTransport(std::shared_ptr<NcclLine> line, std::shared_ptr<Communicator> host,
                std::shared_ptr<NcclComm> comm)
      : Transport(host->rank(), host->size()),
        line_(std::move(line)),
        host_(std::move(host)),
        comm_(std::move(comm)) {}

  bool on_device() const override { return true; }

  void agree(const Call& call) override {
    line_->watch.check();
    if (!kCompareCalls) return;
    std::vector<Call> calls(size(), call);
    const std::string own(reinterpret_cast<const char*>(&call), sizeof(Call));
    const std::vector<std::string> texts = host_->all_gather_text(own);
    for (int r = 0; r < size(); ++r)
      std::memcpy(static_cast<void*>(&calls[r]), texts[r].data(), sizeof(Call));
    check_same_call(calls);
  }

  void all_reduce(const Call& call, Tensor x, Reduce op) override {
    enqueue(call, {x}, [&] { comm_->all_reduce(x, op, line_->get()); });
  }
  void reduce_scatter(const Call& call, Tensor x, Reduce op) override {
    enqueue(call, {x}, [&] { comm_->reduce_scatter(x, op, line_->get()); });
  }
  void all_gather(const Call& call, Tensor x) override {
    enqueue(call, {x}, [&] { comm_->all_gather(x, line_->get()); });
  }
  void broadcast(const Call& call, Tensor x, int root) override {
    enqueue(call, {x}, [&] { comm_->broadcast(x, root, line_->get()); });
  }
  void all_to_all_v(const Call& call, Tensor received, std::span<const std::int64_t> receive_counts,
                    Tensor sent, std::span<const std::int64_t> send_counts) override {
    compare_counts(call, receive_counts, send_counts);
    enqueue(call, {received, sent}, [&] {
      comm_->all_to_all_v(received, receive_counts, sent, send_counts, line_->get());
    });
  }

  void barrier(const Call&) override { host_->barrier(); }

  std::shared_ptr<Transport> split(const Call& call, int colour, int key) override {
    return part(call, host_->split(colour, key), colour, key);
  }
  std::shared_ptr<Transport> split_shared(const Call& call) override {
    auto machine = host_->split_shared();
    const std::int64_t lowest = machine->all_reduce_value(std::int64_t{rank()}, Reduce::min);
    return part(call, std::move(machine), static_cast<int>(lowest), rank());
  }

  std::string algorithm(const Call& call) const override {
    const bool by_pieces =
        call.operation == Operation::reduce_scatter || call.operation == Operation::all_gather;
    return by_pieces && call.count % size() != 0 ? "NCCL, a call a piece" : "NCCL";
  }

  void close() override {
    line_->stream->synchronize();
    line_->watch.check();
    line_->watch.drop_done();
    line_->keeper.drop();
    comm_->finish();
    settle(*comm_, "closing a communicator", line_->patience);
    comm_.reset();
  }
  [[noreturn]] void abort(const std::string& why, int exit_code) override {
    give_up();
    host_->abort(why, exit_code);
  }
  void abandon() noexcept override { give_up(); }

 private:
  template <class F>
  void enqueue(const Call& call, std::initializer_list<Tensor> tensors, F&& begin) {
    const Event reached = line_->stream->record();
    std::exception_ptr failure;
    try {
      begin();
      settle(*comm_, call.str(), line_->patience);
    } catch (const Error&) {
      failure = std::current_exception();
      comm_->abort();
    }
    const Event done = line_->stream->record();
    for (const Tensor& x : tensors) line_->keeper.keep(done, x);
    if (failure) std::rethrow_exception(failure);  // the call may be on the stream all the same
    line_->watch.add(call, comm_, reached, done);
  }

  void compare_counts(const Call& call, std::span<const std::int64_t> receive_counts,
                      std::span<const std::int64_t> send_counts) {
    const auto expect_same = [&](int from, std::int64_t sent) {
      SR_CHECK(sent == receive_counts[from], ErrorKind::peers,
               "{}: rank {} sends {} elements to rank {}, which expects {}", call.str(), from, sent,
               rank(), receive_counts[from]);
    };
    expect_same(rank(), send_counts[rank()]);
    if (!kCompareCalls) return;
    const std::string own(reinterpret_cast<const char*>(send_counts.data()),
                          send_counts.size_bytes());
    const std::vector<std::string> texts = host_->all_gather_text(own);
    for (int r = 0; r < size(); ++r) {
      std::int64_t sent = 0;
      std::memcpy(&sent, texts[r].data() + sizeof(sent) * rank(), sizeof(sent));
      expect_same(r, sent);
    }
  }

  std::shared_ptr<Transport> part(const Call& call, std::unique_ptr<Communicator> host, int colour,
                                  int key) {
    line_->stream->synchronize();  // NCCL wants nothing under way
    std::shared_ptr<NcclComm> comm = comm_->split(colour, key, host->rank(), host->size());
    settle(*comm_, call.str(), line_->patience);
    settle(*comm, call.str(), line_->patience);
    return std::make_shared<NcclTransport>(line_, std::move(host), std::move(comm));
  }

  void give_up() noexcept {
    line_->watch.abort_all();
    if (comm_ != nullptr) comm_->abort();
  }

  std::shared_ptr<NcclLine> line_;
  std::shared_ptr<Communicator> host_;
  std::shared_ptr<NcclComm> comm_;
};

}  // namespace

std::unique_ptr<Communicator> make_nccl_communicator(Communicator& host, int ordinal,
                                                     double patience) {
  std::shared_ptr<Communicator> own = host.split(0, host.rank());
  const std::string id = own->broadcast_text(own->rank() == 0 ? NcclComm::new_id() : "", 0);
  // The host may be waiting for the GPU, which waits for the peer: nobody else can say it.
  const auto tell_and_end = [own](const std::string& why) {
    std::fputs(fmt::format("seqrank: rank {}: {}\n", own->rank(), why).c_str(), stderr);
    try {
      own->abort(why, static_cast<int>(ErrorKind::peers));
    } catch (const Error&) {  // ranks are threads, whose next calls throw it
    }
  };
  auto line = std::make_shared<NcclLine>(ordinal, patience, tell_and_end);
  cuda::use_device(ordinal);
  auto comm = std::make_shared<NcclComm>(id, own->rank(), own->size());
  settle(*comm, "joining the ranks' GPUs", patience);
  std::shared_ptr<Stream> stream = line->stream;
  auto transport =
      std::make_shared<NcclTransport>(std::move(line), std::move(own), std::move(comm));
  return std::make_unique<Communicator>(std::move(transport), std::move(stream));
}

}  // namespace seqrank
