// Owners of CUDA handles for the tests of the emulated device. They check nothing and forgive
// nothing: the device must report what is done wrong with them.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "launch.h"

namespace seqrank::emu {

using cuda::cuda_check;

class Event {
 public:
  explicit Event(unsigned flags = cudaEventDisableTiming) {
    cuda_check(cudaEventCreateWithFlags(&event_, flags), "cudaEventCreate");
  }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  cudaEvent_t get() const { return event_; }
  void synchronize() const { cuda_check(cudaEventSynchronize(event_), "cudaEventSynchronize"); }

 private:
  cudaEvent_t event_ = nullptr;
};

class Stream {
 public:
  explicit Stream(const std::string& name) {
    cuda_check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreate");
    cuda::name_stream(stream_, name.c_str());
  }
  ~Stream() { cudaStreamDestroy(stream_); }
  Stream(const Stream&) = delete;
  cudaStream_t get() const { return stream_; }
  void record(const Event& event) const {
    cuda_check(cudaEventRecord(event.get(), stream_), "cudaEventRecord");
  }
  void wait(const Event& event) const {
    cuda_check(cudaStreamWaitEvent(stream_, event.get(), 0), "cudaStreamWaitEvent");
  }
  void synchronize() const { cuda_check(cudaStreamSynchronize(stream_), "cudaStreamSynchronize"); }

 private:
  cudaStream_t stream_ = nullptr;
};

// Device memory in the order of one stream.
template <class T>
class DeviceBuffer {
 public:
  DeviceBuffer(const Stream& stream, std::size_t count) : stream_(stream.get()), count_(count) {
    cuda_check(cudaMallocAsync(reinterpret_cast<void**>(&data_), count * sizeof(T), stream_),
               "cudaMallocAsync");
  }
  ~DeviceBuffer() { cudaFreeAsync(data_, stream_); }
  DeviceBuffer(const DeviceBuffer&) = delete;
  std::span<T> span() const { return {data_, count_}; }

 private:
  cudaStream_t stream_;
  T* data_ = nullptr;
  std::size_t count_;
};

// Pinned host memory; the host reaches it through read() and write().
template <class T>
class PinnedBuffer {
 public:
  explicit PinnedBuffer(std::size_t count) : count_(count) {
    cuda_check(cudaMallocHost(reinterpret_cast<void**>(&data_), count * sizeof(T)),
               "cudaMallocHost");
  }
  ~PinnedBuffer() { cudaFreeHost(data_); }
  PinnedBuffer(const PinnedBuffer&) = delete;
  std::span<T> span() const { return {data_, count_}; }  // for copies and host tasks
  std::span<const T> read() const {
    cuda::host_touches(data_, count_ * sizeof(T), cuda::Mode::read, "a use");
    return {data_, count_};
  }
  std::span<T> write() {
    cuda::host_touches(data_, count_ * sizeof(T), cuda::Mode::write, "a use");
    return {data_, count_};
  }

 private:
  T* data_ = nullptr;
  std::size_t count_;
};

template <class T>
void copy(const Stream& stream, std::span<T> to, std::span<const std::type_identity_t<T>> from) {
  cuda_check(
      cudaMemcpyAsync(to.data(), from.data(), from.size_bytes(), cudaMemcpyDefault, stream.get()),
      "cudaMemcpyAsync");
}

}  // namespace seqrank::emu
