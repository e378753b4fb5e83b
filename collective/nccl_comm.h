// A communicator of NCCL's, non-blocking throughout: each function begins something and returns;
// once settled() says so it has reached the stream, and not before. The only code that calls NCCL.
// Waits for nobody and watches nothing: nccl.cc does.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>

#include "backend/tensor.h"
#include "collective/communicator.h"

struct ncclComm;
struct CUstream_st;

namespace seqrank {

class NcclComm {
 public:
  // By which the ranks find each other: made by one, told to all.
  static std::string new_id();
  // The device that is current on the calling thread takes part.
  NcclComm(const std::string& id, int rank, int size);
  ~NcclComm();
  NcclComm(const NcclComm&) = delete;
  NcclComm& operator=(const NcclComm&) = delete;

  // Whether what was begun last is done with, on the host's side. Throws Error(peers) when NCCL has
  // found an error, here or at a peer; of a peer's only after some seconds, which are for the
  // peer's own line and for what ends all processes then. From any thread.
  bool settled();

  // As Communicator's.
  void all_reduce(Tensor& x, Reduce op, CUstream_st* stream);
  void reduce_scatter(Tensor& x, Reduce op, CUstream_st* stream);
  void all_gather(Tensor& x, CUstream_st* stream);
  void broadcast(Tensor& x, int root, CUstream_st* stream);
  void all_to_all_v(Tensor& received, std::span<const std::int64_t> receive_counts,
                    const Tensor& sent, std::span<const std::int64_t> send_counts,
                    CUstream_st* stream);
  // Nothing may be under way. The part settles after this one has.
  std::unique_ptr<NcclComm> split(int colour, int key, int rank, int size);

  void finish();  // begins the end in order; when it has settled, destruction waits for nothing
  void abort();   // ends what is under way, here and at the peers. From any thread

 private:
  NcclComm(int rank, int size) : rank_(rank), size_(size) {}
  template <class Work>
  int locked(const char* what, Work&& work);
  template <class Calls>
  void begin(const char* what, Calls&& calls);

  std::mutex mutex_;  // of comm_
  ncclComm* comm_ = nullptr;
  bool finished_ = false;
  int rank_;
  int size_;
};

std::string nccl_library_version();  // "2.28.9"

}  // namespace seqrank
