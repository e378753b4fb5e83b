// Streams, pooled events and memory sources of a CUDA device.
#include "backend/cuda/runtime.h"

#include <atomic>
#include <mutex>

#include "backend/cuda/handles.h"
#include "backend/device.h"

namespace seqrank {
namespace cuda {

void use_device(int ordinal) {
  int now = 0;
  cuda_check(cudaGetDevice(&now), "cudaGetDevice");
  if (now != ordinal) cuda_check(cudaSetDevice(ordinal), "cudaSetDevice");
}

// Events are made once and used again: a training step makes none.
class EventPool {
 public:
  explicit EventPool(int ordinal) : ordinal_(ordinal) {}
  ~EventPool() {
    for (cudaEvent_t event : idle_) cudaEventDestroy(event);
  }
  int ordinal() const { return ordinal_; }
  cudaEvent_t take() {
    const std::lock_guard lock(mutex_);
    cudaEvent_t event = nullptr;
    if (idle_.empty()) {
      cuda_check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreate");
    } else {
      event = idle_.back();
      idle_.pop_back();
    }
    return event;
  }
  void give_back(cudaEvent_t event) {
    const std::lock_guard lock(mutex_);
    idle_.push_back(event);
  }

 private:
  int ordinal_;
  std::mutex mutex_;
  std::vector<cudaEvent_t> idle_;
};

namespace {

std::atomic<std::int64_t> waits = 0;  // blocking calls of this process

class CudaEvent final : public EventState {
 public:
  CudaEvent(std::shared_ptr<EventPool> pool, cudaStream_t stream) : pool_(std::move(pool)) {
    event_ = pool_->take();
    cuda_check(cudaEventRecord(event_, stream), "cudaEventRecord");
  }
  ~CudaEvent() override { pool_->give_back(event_); }
  CudaEvent(const CudaEvent&) = delete;
  CudaEvent& operator=(const CudaEvent&) = delete;

  cudaEvent_t get() const { return event_; }
  bool done() const override {
    use_device(pool_->ordinal());
    const cudaError_t state = cudaEventQuery(event_);
    if (state == cudaErrorNotReady) return false;
    cuda_check(state, "work on the GPU");
    return true;
  }
  void wait() override {
    ++waits;
    use_device(pool_->ordinal());
    cuda_check(cudaEventSynchronize(event_), "work on the GPU");
  }

 private:
  std::shared_ptr<EventPool> pool_;
  cudaEvent_t event_;
};

// In the order of the compute stream.
class DeviceMemory final : public Memory {
 public:
  explicit DeviceMemory(std::shared_ptr<CudaStream> compute) : compute_(std::move(compute)) {}
  void* obtain(std::size_t bytes) override {
    use_device(compute_->ordinal());
    void* block = ask(bytes);
    if (block != nullptr) return block;
    wait_for_freed();
    return ask(bytes);  // null: told by the arena, with the table
  }
  void give_back(void* block) override {
    use_device(compute_->ordinal());
    cudaFreeAsync(block, compute_->get());
  }

 private:
  void* ask(std::size_t bytes) {
    void* block = nullptr;
    const cudaError_t error = cudaMallocAsync(&block, bytes, compute_->get());
    if (error == cudaErrorMemoryAllocation) {
      cudaGetLastError();
      return nullptr;
    }
    cuda_check(error, "cudaMallocAsync");
    return block;
  }
  // Freed is only what the stream has come to, and the driver's pool holds on to it in sizes that
  // may serve nobody.
  void wait_for_freed() {
    compute_->synchronize();
    cudaMemPool_t pool = nullptr;
    cuda_check(cudaDeviceGetDefaultMemPool(&pool, compute_->ordinal()),
               "cudaDeviceGetDefaultMemPool");
    cuda_check(cudaMemPoolTrimTo(pool, 0), "cudaMemPoolTrimTo");
  }

  std::shared_ptr<CudaStream> compute_;
};

class PinnedMemory final : public Memory {
 public:
  explicit PinnedMemory(int ordinal) : ordinal_(ordinal) {}
  void* obtain(std::size_t bytes) override {
    use_device(ordinal_);
    void* block = nullptr;
    const cudaError_t error = cudaMallocHost(&block, bytes);
    if (error == cudaErrorMemoryAllocation) {
      cudaGetLastError();
      return nullptr;
    }
    cuda_check(error, "cudaMallocHost");
    return block;
  }
  void give_back(void* block) override {
    use_device(ordinal_);
    cudaFreeHost(block);
  }
  bool is_watched() const override { return kHostIsWatched; }
  void host_touches(const void* begin, std::size_t bytes, bool writes) const override {
    if (bytes > 0) cuda::host_touches(begin, bytes, writes ? Mode::write : Mode::read, "the host");
  }

 private:
  int ordinal_;
};

}  // namespace

CudaStream::CudaStream(int ordinal, const std::string& name)
    : ordinal_(ordinal), events_(std::make_shared<EventPool>(ordinal)) {
  use_device(ordinal);
  cuda_check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreate");
  name_stream(stream_, name.c_str());
}

CudaStream::~CudaStream() {
  use_device(ordinal_);
  cudaStreamSynchronize(stream_);
  cudaStreamDestroy(stream_);
}

void CudaStream::enqueue(std::function<void()> task) {
  use_device(ordinal_);
  task();
}

Event CudaStream::record() {
  use_device(ordinal_);
  return Event(std::make_shared<CudaEvent>(events_, stream_));
}

void CudaStream::wait(const Event& event) {
  if (event.state() == nullptr) return;
  use_device(ordinal_);
  if (const auto* of_device = dynamic_cast<const CudaEvent*>(event.state()))
    cuda_check(cudaStreamWaitEvent(stream_, of_device->get(), 0), "cudaStreamWaitEvent");
  else
    event.wait();
}

void CudaStream::synchronize() {
  use_device(ordinal_);
  ++waits;
  cuda_check(cudaStreamSynchronize(stream_), "work on the GPU");
}

void CudaStream::copy(void* to, const void* from, std::size_t bytes, Copy direction) {
  if (bytes == 0) return;
  use_device(ordinal_);
  const cudaMemcpyKind kind = direction == Copy::to_device ? cudaMemcpyHostToDevice
                              : direction == Copy::to_host ? cudaMemcpyDeviceToHost
                                                           : cudaMemcpyDeviceToDevice;
  cuda_check(cudaMemcpyAsync(to, from, bytes, kind, stream_), "cudaMemcpyAsync");
}

cudaStream_t stream_of(Context& ctx) {
  if (ctx.plans()) return nullptr;
  auto& compute = static_cast<CudaStream&>(ctx.compute());
  use_device(compute.ordinal());
  return compute.get();
}

}  // namespace cuda

bool built_with_cuda() {
  return true;
}

int cuda_devices() {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) {
    cudaGetLastError();
    return 0;
  }
  return count;
}

std::int64_t device_waits() {
  return cuda::waits;
}

std::string why_no_cuda() {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaSuccess && count > 0) return "";
  cudaGetLastError();
  if (error == cudaSuccess) return "no CUDA device is visible";
  int driver = 0;  // where there is none, CUDA calls it too old
  cudaDriverGetVersion(&driver);
  return driver == 0 ? "no NVIDIA driver is installed" : cudaGetErrorString(error);
}

DeviceParts make_cuda_parts(int ordinal) {
  const std::string why = why_no_cuda();
  SR_CHECK(why.empty(), ErrorKind::device, "no CUDA device: {}; --device=cpu needs none", why);
  SR_CHECK(ordinal >= 0 && ordinal < cuda_devices(), ErrorKind::device,
           "CUDA device {} is wanted, this process sees {}; start one rank a device", ordinal,
           cuda_devices());
  cuda::use_device(ordinal);
  DeviceParts parts;
  auto compute = std::make_shared<cuda::CudaStream>(ordinal, fmt::format("compute {}", ordinal));
  parts.compute = compute;
  parts.upload = std::make_shared<cuda::CudaStream>(ordinal, fmt::format("upload {}", ordinal));
  parts.memory = std::make_unique<cuda::DeviceMemory>(compute);
  parts.pinned = std::make_unique<cuda::PinnedMemory>(ordinal);
  parts.handles = std::make_shared<cuda::Handles>();
  return parts;
}

DeviceParts make_planned_cuda_parts() {
  const std::shared_ptr<Stream> stream = make_planned_stream();
  return {stream, stream, make_planned_memory(), make_planned_memory(),
          std::make_shared<cuda::Handles>()};
}

std::shared_ptr<Stream> make_cuda_stream(int ordinal, const std::string& name) {
  return std::make_shared<cuda::CudaStream>(ordinal, name);
}

}  // namespace seqrank
