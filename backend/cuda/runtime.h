// The CUDA runtime as the rest sees it: streams, events, memory. Besides launch() and the one file
// of each vendor's library, this is the only code that calls CUDA. The same text is compiled for a
// GPU and for the emulated device of the tests.
#pragma once

#include <cuda_runtime_api.h>

#include <memory>
#include <string>
#include <vector>

#include "backend/context.h"
#include "backend/stream.h"
#include "launch.h"

namespace seqrank::cuda {

// Makes a device the calling thread's. It stays so: going back to device 0, where a thread begins,
// would make every process a context there.
void use_device(int ordinal);

class EventPool;

// Non-blocking; nothing uses the default stream.
class CudaStream final : public Stream {
 public:
  CudaStream(int ordinal, const std::string& name);
  ~CudaStream() override;
  int ordinal() const { return ordinal_; }
  cudaStream_t get() const { return stream_; }

  void enqueue(std::function<void()> task) override;  // runs at once
  Event record() override;
  // For an event of a host's stream the host blocks.
  void wait(const Event& event) override;
  void synchronize() override;
  double waited_seconds() const override { return 0; }
  void copy(void* to, const void* from, std::size_t bytes, Copy direction) override;

 private:
  int ordinal_;
  cudaStream_t stream_ = nullptr;
  std::shared_ptr<EventPool> events_;
};

// Of the context's compute stream, with its device current: what operators launch on. Null where
// the context only plans: nothing uses the default stream, and launch() launches nothing there.
cudaStream_t stream_of(Context& ctx);

}  // namespace seqrank::cuda
