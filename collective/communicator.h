// Ranks that exchange tensors. Every call is a collective: all ranks make it, in the same order,
// with the same type and count. Calls are enqueued on a communication stream and return at once;
// wait on stream().record() for the result, and keep the tensors alive until then. Arguments are
// checked here, once, so that every transport gives the same errors. Knows no models and no
// gradients. Transports: README.md.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backend/stream.h"
#include "backend/tensor.h"

namespace seqrank {

// On floating point, sum passes NaN on; max and min of a NaN are unspecified.
enum class Reduce { sum, max, min };

class Transport;
struct Call;

// A finished call, as the thread of the stream saw it.
struct CallTiming {
  std::string operation;  // "reduce_scatter"
  std::string algorithm;  // the transport's word for how
  std::int64_t bytes;     // of the whole tensor, or what this rank sends; 0 without a tensor
  std::chrono::steady_clock::time_point begin, end;
};

// How the calls of a communicator are getting on; read from any thread, by a watcher.
struct CallClock {
  std::atomic<std::int64_t> running_since_ns{0};  // steady clock; 0 = no call is running
  std::atomic<std::int64_t> longest_ns{0};        // of the calls that have ended
};

// To be used from one thread at a time.
class Communicator {
 public:
  // The transport's tasks run on `stream`. Called by the make_x_communicator functions.
  Communicator(std::shared_ptr<Transport> transport, std::shared_ptr<Stream> stream);
  // Waits for what is enqueued; when an error is unwinding, tells the peers instead of waiting.
  ~Communicator();
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  int rank() const { return rank_; }
  int size() const { return size_; }
  Stream& stream() { return *stream_; }

  // In place, element-wise over ranks. f32, f64, i32, i64. Bitwise equal on all ranks, and from run
  // to run.
  void all_reduce(Tensor& x, Reduce op);
  // x is cut into size() pieces by piece_range(); this rank's piece of x is replaced by the
  // reduction over ranks, the other pieces of x are left undefined. Same types.
  void reduce_scatter(Tensor& x, Reduce op);
  // x is cut likewise; this rank's piece is sent to all: afterwards x is whole on every rank.
  void all_gather(Tensor& x);
  void broadcast(Tensor& x, int root);
  // counts in elements, one entry a rank; pieces lie end to end. `received` and `sent` are of one
  // type and must not overlap.
  void all_to_all_v(Tensor& received, std::span<const std::int64_t> receive_counts,
                    const Tensor& sent, std::span<const std::int64_t> send_counts);
  // Likewise where only the senders know the counts: these travel first, and no host waits for
  // them. Between host memories. What it returns may be read once the call is done.
  struct Counted {
    std::vector<std::int64_t> counts;  // by rank
    Tensor pieces;
  };
  std::shared_ptr<const Counted> all_to_all_counted(const Tensor& sent,
                                                    std::span<const std::int64_t> send_counts);
  void barrier();  // blocks the host until every rank got here

  // A communicator of the ranks that give the same colour (>= 0), ordered by (key, rank).
  // Collective; blocks the host. It shares stream() with this one. size: how many these are, where
  // the caller knows; another number throws.
  std::unique_ptr<Communicator> split(int colour, int key, int size = 0);

  // Likewise, of the ranks that share memory with this one: those of one host. Its rank() is the
  // local rank, by which a rank finds its GPU.
  std::unique_ptr<Communicator> split_shared();

  // Collective: the same ranks again, over what `wrap` makes of a transport of this kind. It shares
  // stream() with this one.
  std::unique_ptr<Communicator> wrapped(
      const std::function<std::shared_ptr<Transport>(std::shared_ptr<Transport>)>& wrap);

  // From now on appends every call to `log` (null: no more). Read it after stream().synchronize().
  void set_log(std::vector<CallTiming>* log) { log_ = log; }
  std::shared_ptr<const CallClock> clock() const { return clock_; }  // the parts' too

  // Tells the peers to stop, as a failing rank's last deed, and does not wait for them. `why` is
  // one line and is not printed. null and mpi end the process with `exit_code` (mpi: every rank's,
  // and mpirun's too); thread throws Error(exit_code, why) to end this rank alone.
  [[noreturn]] void abort(const std::string& why, int exit_code);

  // [begin, end) of rank r's piece of n elements: equal pieces, the first n % size() one longer.
  struct Range {
    std::int64_t begin, end;
  };
  static Range piece_range(std::int64_t n, int rank, int size);

  // Host-side exchange of small values, blocking; for start-up, evaluation and saving, never in the
  // training step. Not over a transport of device tensors: there, ask the host's communicator.
  std::int64_t all_reduce_value(std::int64_t value, Reduce op);
  double all_reduce_value(double value, Reduce op);
  std::vector<std::string> all_gather_text(const std::string& text);  // by rank
  std::string broadcast_text(const std::string& text, int root);

 private:
  // Has every rank agree on `call`, then runs `body`, both on stream().
  void enqueue(Call call, std::function<void(Transport&, const Call&)> body);
  std::unique_ptr<Communicator> make_part(
      Call call, std::function<std::shared_ptr<Transport>(Transport&, const Call&)> split);
  void expect_host() const;
  template <class T>
  T reduce_value(T value, Reduce op);

  std::shared_ptr<Transport> transport_;  // shared with the tasks on the stream
  std::shared_ptr<Stream> stream_;
  int rank_;
  int size_;
  int exceptions_at_birth_;
  std::int64_t sequence_ = 0;  // of the next call, counted alike on all ranks
  std::vector<CallTiming>* log_ = nullptr;
  std::shared_ptr<CallClock> clock_ = std::make_shared<CallClock>();
  std::shared_ptr<Arena> arena_ = std::make_shared<Arena>();  // of small host-side exchanges
};

// Two ways between the same ranks: of tensors in host memory and of tensors on the ranks' devices.
// On the CPU they are one communicator.
struct Communicators {
  // Of ranks on CPUs.
  Communicators(Communicator& both) : host(both), device(both) {}
  Communicators(Communicator& of_host, Communicator& of_device)
      : host(of_host), device(of_device) {}
  int rank() const { return host.rank(); }
  int size() const { return host.size(); }

  Communicator& host;
  Communicator& device;
};

// A world of one, on an inline stream or on `stream`.
std::unique_ptr<Communicator> make_null_communicator();
std::unique_ptr<Communicator> make_null_communicator(std::shared_ptr<Stream> stream);
// Rank 0 of `size`, the others of which are imagined; see Context::Planned.
std::unique_ptr<Communicator> make_planned_communicator(int size);

}  // namespace seqrank
