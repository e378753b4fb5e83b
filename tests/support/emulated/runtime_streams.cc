// The emulated device: CUDA's functions for streams and host tasks.
#include <fmt/core.h>

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "tests/support/emulated/state.h"

using namespace seqrank::emu;  // NOLINT: CUDA's functions are global
using seqrank::sanitizers::Untraced;

namespace {

void pace(CUstream_st& stream) {
  const Options& o = options();
  unsigned us = o.random_delay_us > 0 ? unsigned(stream.random()) % o.random_delay_us : 0;
  if (!o.slow_stream.empty() && stream.name.find(o.slow_stream) != std::string::npos) {
    us += o.slow_us;
  }
  if (us > 0) std::this_thread::sleep_for(std::chrono::microseconds(us));
}

Task* next_task(CUstream_st& stream) {
  const Untraced untraced;
  std::unique_lock lock(stream.mutex);
  stream.running = nullptr;
  stream.changed.wait(lock, [&] { return stream.stop || !stream.queue.empty(); });
  if (stream.queue.empty()) return nullptr;
  Task* task = stream.running = stream.queue.front();
  stream.queue.pop_front();
  lock.unlock();
  pace(stream);
  return task;
}

// A stream's thread.
void work(CUstream_st& stream) {
  this_stream = &stream;
  while (Task* task = next_task(stream)) {
    seqrank::sanitizers::acquire(&task->order);
    task->run();
    ++progress;
    seqrank::sanitizers::release(&stream.order);
    const Untraced untraced;
    delete task;
  }
}

}  // namespace

void seqrank::emu::push(CUstream_st* stream, std::string what, std::function<void()> run) {
  auto* task = new Task{std::move(what), std::move(run)};
  {
    const sanitizers::Traced traced;
    sanitizers::release(&task->order);
  }
  {
    const std::lock_guard lock(stream->mutex);
    stream->queue.push_back(task);
  }
  stream->changed.notify_all();
}

#if EMU_TSAN
// TSan calls this before it prints; its own report knows threads but not operations.
extern "C" void __tsan_on_report(void*) {
  if (this_stream != nullptr && this_stream->running != nullptr) {
    std::fprintf(stderr, "emulated device: a race, seen while '%s' runs %s\n",
                 this_stream->name.c_str(), this_stream->running->what.c_str());
  }
}
#endif

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* result, unsigned flags, int) {
  const Entry entry("cudaStreamCreateWithPriority");
  State& s = state();
  if (flags != cudaStreamNonBlocking) {
    violation("a stream is created without cudaStreamNonBlocking");
  }
  auto* stream = new CUstream_st;
  stream->device = current_device;
  stream->name = fmt::format("stream {}", s.streams.size());
  stream->actor = s.order.new_actor(stream->name);
  stream->random.seed(options().seed + static_cast<unsigned>(s.streams.size()));
  stream->worker = std::thread([stream] { work(*stream); });
  s.streams.push_back(stream);
  *result = stream;
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* result, unsigned flags) {
  return cudaStreamCreateWithPriority(result, flags, 0);
}

cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  *least = 0;
  *greatest = -1;
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  const Untraced untraced;
  {
    // Before it stops: whoever waits for all streams of the device waits for none that does no
    // more.
    const std::lock_guard lock(state().mutex);
    std::erase(state().streams, stream);
  }
  {
    const std::lock_guard lock(stream->mutex);
    stream->stop = true;
  }
  stream->changed.notify_all();
  stream->worker.join();  // what is enqueued still runs
  delete stream;
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  std::shared_ptr<Completion> completion;
  {
    const Entry entry("cudaStreamSynchronize");
    if (!usable(stream, "cudaStreamSynchronize")) return last_error;
    completion = record(stream);
  }
  host_waits(std::move(completion));
  return cudaSuccess;
}

cudaError_t cudaStreamQuery(cudaStream_t stream) {
  {
    const Entry entry("cudaStreamQuery");
    if (!usable(stream, "cudaStreamQuery")) return last_error;
    const std::lock_guard lock(stream->mutex);
    if (stream->running != nullptr || !stream->queue.empty()) return cudaErrorNotReady;
    state().order.follow(host_actor(), state().order.clock(stream->actor));
  }
  seqrank::sanitizers::acquire(&stream->order);
  return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize() {
  std::vector<std::shared_ptr<Completion>> open;
  {
    const Entry entry("cudaDeviceSynchronize");
    for (CUstream_st* s : state().streams) {
      if (s->device == current_device) open.push_back(record(s));
    }
  }
  for (auto& completion : open) host_waits(std::move(completion));
  return cudaSuccess;
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* data) {
  const Entry entry("cudaLaunchHostFunc");
  if (!usable(stream, "cudaLaunchHostFunc")) return last_error;
  begin_operation(stream);
  std::mutex& one_at_a_time = state().host_task[stream->device];
  const std::string what =
      stream->declared.empty() ? "host task" : std::exchange(stream->declared, "");
  push(stream, what, [function, data, &one_at_a_time] {
    const bool serial = options().serial_host_tasks;
    if (serial) {
      const Untraced untraced;
      one_at_a_time.lock();
    }
    in_host_task = true;
    function(data);
    in_host_task = false;
    if (serial) {
      const Untraced untraced;
      one_at_a_time.unlock();
    }
  });
  return cudaSuccess;
}
