// What an implementation of the collectives provides to Communicator, which has checked the
// arguments. Every member runs on the stream's thread, in order, except abort() and abandon().
// A transport of host tensors knows no streams and keeps no tensors after a call.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backend/tensor.h"
#include "collective/communicator.h"

namespace seqrank {

enum class Operation : std::int32_t {
  all_reduce,
  reduce_scatter,
  all_gather,
  broadcast,
  all_to_all_v,
  all_to_all_counted,  // two all_to_all_v
  barrier,
  split,
  split_shared,
};

// One collective call, as every rank must make it. Plain bytes: MPI sends it as such.
struct Call {
  Operation operation;
  DType dtype = DType::u8;
  std::int32_t detail = 0;    // the Reduce, the root, or the size of a split's part
  std::int64_t count = 0;     // elements; 0 for all_to_all_v, where ranks differ
  std::int64_t sequence = 0;  // of the communicator, from 0
  std::int64_t sent = 0;      // all_to_all_v: elements that this rank sends; not compared

  std::int64_t bytes() const {
    return (count + sent) * static_cast<std::int64_t>(dtype_size(dtype));
  }
  std::string name() const;  // "all_reduce"
  std::string str() const;   // "all_reduce #17 (sum, f32, 1024 elements, 4096 bytes)"
  friend bool operator==(const Call& a, const Call& b) {
    return a.operation == b.operation && a.dtype == b.dtype && a.detail == b.detail &&
           a.count == b.count && a.sequence == b.sequence;
  }
};

// Throws Error(peers) naming both sides when the ranks' calls (by rank) are not the same.
void check_same_call(std::span<const Call> calls);

class Transport {
 public:
  Transport(int rank, int size) : rank_(rank), size_(size) {}
  virtual ~Transport() = default;
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;
  int rank() const { return rank_; }
  int size() const { return size_; }

  // Whether the tensors are a device's.
  virtual bool on_device() const { return false; }

  // Before every call: throws Error(peers) when the ranks' calls differ, as far as it looks.
  virtual void agree(const Call& call) = 0;
  // call.count > 0 in these four.
  virtual void all_reduce(const Call& call, Tensor x, Reduce op) = 0;
  virtual void reduce_scatter(const Call& call, Tensor x, Reduce op) = 0;
  virtual void all_gather(const Call& call, Tensor x) = 0;
  virtual void broadcast(const Call& call, Tensor x, int root) = 0;
  virtual void all_to_all_v(const Call& call, Tensor received,
                            std::span<const std::int64_t> receive_counts, Tensor sent,
                            std::span<const std::int64_t> send_counts) = 0;
  virtual void barrier(const Call& call) = 0;
  virtual std::shared_ptr<Transport> split(const Call& call, int colour, int key) = 0;
  virtual std::shared_ptr<Transport> split_shared(const Call& call) = 0;
  // How it carries out such a call, in a word or two.
  virtual std::string algorithm(const Call& call) const = 0;
  virtual void close() = 0;  // the last call of a communicator that ends in order

  // From any thread, while another call may be running. See Communicator::abort.
  [[noreturn]] virtual void abort(const std::string& why, int exit_code) = 0;
  // From any thread, instead of close(), when the communicator dies by an unwinding error.
  virtual void abandon() noexcept = 0;

 private:
  int rank_;
  int size_;
};

}  // namespace seqrank
