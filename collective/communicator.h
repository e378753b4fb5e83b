// Ranks that exchange tensors. Every call is a collective: all ranks make it, in the same order,
// with the same type and count. Calls are enqueued on a communication stream and return at once;
// wait on stream().record() for the result, and keep the tensors alive until then. Knows no models
// and no gradients. Implementations: null, thread, mpi (nccl and staged to come).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backend/stream.h"
#include "backend/tensor.h"

namespace seqrank {

enum class Reduce { sum, max, min };

class Communicator {
 public:
  virtual ~Communicator() = default;
  int rank() const { return rank_; }
  int size() const { return size_; }
  Stream& stream() { return *stream_; }

  // In place, element-wise over ranks. f32, f64, i32, i64. Bitwise equal on all ranks.
  void all_reduce(Tensor& x, Reduce op);
  // x is cut into size() pieces by piece_range(); this rank's piece of x is replaced by the
  // reduction over ranks, the other pieces of x are left undefined.
  void reduce_scatter(Tensor& x, Reduce op);
  // x is cut likewise; this rank's piece is sent to all: afterwards x is whole on every rank.
  void all_gather(Tensor& x);
  void broadcast(Tensor& x, int root);
  // counts in elements, one entry a rank; pieces lie end to end.
  void all_to_all_v(Tensor& received, std::span<const std::int64_t> receive_counts,
                    const Tensor& sent, std::span<const std::int64_t> send_counts);
  void barrier();  // blocks the host until every rank got here

  // A communicator of the ranks that give the same colour, ordered by (key, rank). Collective.
  virtual std::unique_ptr<Communicator> split(int colour, int key) = 0;

  // Tells the peers to stop, as a failing rank's last deed, and does not wait for them. `why` is
  // one line. For mpi this ends the process.
  [[noreturn]] virtual void abort(const std::string& why, int exit_code) = 0;

  // [begin, end) of rank r's piece of n elements: equal pieces, the first n % size() one longer.
  struct Range {
    std::int64_t begin, end;
  };
  static Range piece_range(std::int64_t n, int rank, int size);

  // Host-side exchange of small values, blocking; for start-up, evaluation and saving, never in the
  // training step.
  std::int64_t all_reduce_value(std::int64_t value, Reduce op);
  double all_reduce_value(double value, Reduce op);
  std::vector<std::string> all_gather_text(const std::string& text);  // by rank
  std::string broadcast_text(const std::string& text, int root);

 protected:
  Communicator(int rank, int size, Stream& stream) : rank_(rank), size_(size), stream_(&stream) {}

  // What an implementation provides; called by the public functions after the checks, to be run on
  // stream(). Zero counts never get here.
  virtual void do_all_reduce(Tensor x, Reduce op) = 0;
  virtual void do_reduce_scatter(Tensor x, Reduce op) = 0;
  virtual void do_all_gather(Tensor x) = 0;
  virtual void do_broadcast(Tensor x, int root) = 0;
  virtual void do_all_to_all_v(Tensor received, std::vector<std::int64_t> receive_counts,
                               Tensor sent, std::vector<std::int64_t> send_counts) = 0;
  virtual void do_barrier() = 0;

 private:
  int rank_;
  int size_;
  Stream* stream_;
};

// A world of one.
std::unique_ptr<Communicator> make_null_communicator();

}  // namespace seqrank
