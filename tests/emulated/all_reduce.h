// The sum over ranks that are threads of one process, staged through pinned memory, in the order of
// a stream. A host task waits here for the other rank's, which CUDA does not promise to allow (it
// may run host tasks of unrelated streams one after the other); the device of the tests does as
// long as the ranks use different devices.
#pragma once

#include <condition_variable>
#include <mutex>
#include <span>
#include <vector>

#include "tests/emulated/handles.h"

namespace seqrank::emu {

// Where the ranks' host tasks meet. Stands for MPI.
class ThreadGroup {
 public:
  explicit ThreadGroup(int size) : size_(size), parts_(static_cast<std::size_t>(size)) {}
  int size() const { return size_; }
  // total = the sum of all ranks' parts, in rank order, so that all ranks get the same bits.
  void all_reduce(int rank, std::span<const float> part, std::span<float> total);

 private:
  void barrier(std::unique_lock<std::mutex>& lock);

  int size_;
  std::mutex mutex_;
  std::condition_variable all_here_;
  int here_ = 0;
  long round_ = 0;
  std::vector<std::span<const float>> parts_;
};

// One per bucket: it owns the bucket's staging memory, which the next call may use again because it
// comes after this one on the same stream.
class StagedAllReduce {
 public:
  StagedAllReduce(ThreadGroup& group, int rank, std::size_t count)
      : group_(group), rank_(rank), part_(count), total_(count) {}
  void enqueue(const Stream& stream, std::span<float> bucket);

 private:
  void reduce();

  ThreadGroup& group_;
  int rank_;
  PinnedBuffer<float> part_, total_;
};

}  // namespace seqrank::emu
