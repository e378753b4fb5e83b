// The emulated device: CUDA's functions for streams, events and host tasks.
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
    seqrank::sanitizers::release(&stream.order);
    const Untraced untraced;
    delete task;
  }
}

std::shared_ptr<Completion> record(CUstream_st* stream) {
  begin_operation(stream);
  auto completion = std::make_shared<Completion>();
  completion->clock = state().order.clock(stream->actor);
  push(stream, "record", [completion] {
    seqrank::sanitizers::release(&completion->order);
    const Untraced untraced;
    const std::lock_guard lock(completion->mutex);
    completion->done = true;
    completion->time = std::chrono::steady_clock::now();
    completion->changed.notify_all();
  });
  return completion;
}

void wait_until_done(Completion& completion) {
  const Untraced untraced;
  std::unique_lock lock(completion.mutex);
  completion.changed.wait(lock, [&] { return completion.done; });
}

bool is_done(Completion& completion) {
  const Untraced untraced;
  const std::lock_guard lock(completion.mutex);
  return completion.done;
}

[[noreturn]] void report_stuck() {
  std::fprintf(stderr, "emulated device: stuck\n");
  for (CUstream_st* s : state().streams) {
    const std::lock_guard lock(s->mutex);
    std::fprintf(stderr, "  '%s': %s, then %zu more\n", s->name.c_str(),
                 s->running != nullptr ? s->running->what.c_str() : "idle", s->queue.size());
  }
  std::abort();
}

// The calling host thread waits, and comes after everything that was recorded.
void host_waits(std::shared_ptr<Completion> completion) {
  {
    const Untraced untraced;
    std::unique_lock lock(completion->mutex);
    const auto limit = std::chrono::seconds(options().stuck_after_s);
    if (!completion->changed.wait_for(lock, limit, [&] { return completion->done; })) {
      report_stuck();
    }
  }
  seqrank::sanitizers::acquire(&completion->order);
  const Untraced untraced;
  {
    const std::lock_guard lock(state().mutex);
    state().order.follow(host_actor(), completion->clock);
  }
  completion.reset();
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
    const std::lock_guard lock(stream->mutex);
    stream->stop = true;
  }
  stream->changed.notify_all();
  stream->worker.join();  // what is enqueued still runs
  {
    const std::lock_guard lock(state().mutex);
    std::erase(state().streams, stream);
  }
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

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* result, unsigned flags) {
  const Entry entry("cudaEventCreateWithFlags");
  *result = new CUevent_st{current_device, (flags & cudaEventDisableTiming) == 0, nullptr};
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  const Untraced untraced;
  delete event;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  const Entry entry("cudaEventRecord");
  if (!usable(stream, "cudaEventRecord")) return last_error;
  if (event->device != stream->device) {
    return fail(cudaErrorInvalidResourceHandle, "an event is recorded on another device's stream");
  }
  event->latest = record(stream);
  return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  const Entry entry("cudaStreamWaitEvent");
  if (!usable(stream, "cudaStreamWaitEvent")) return last_error;
  if (event->latest == nullptr) {
    violation(fmt::format("'{}' waits for an event that was never recorded: a GPU would not wait",
                          stream->name));
    return cudaSuccess;
  }
  begin_operation(stream);
  state().order.follow(stream->actor, event->latest->clock);
  push(stream, "wait", [completion = event->latest] {
    wait_until_done(*completion);
    seqrank::sanitizers::acquire(&completion->order);
  });
  return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  std::shared_ptr<Completion> completion;
  {
    const Entry entry("cudaEventSynchronize");
    completion = event->latest;
  }
  if (completion != nullptr) host_waits(std::move(completion));
  return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  std::shared_ptr<Completion> completion;
  {
    const Entry entry("cudaEventQuery");
    completion = event->latest;
    if (completion == nullptr) return cudaSuccess;
    if (!is_done(*completion)) return cudaErrorNotReady;
  }
  host_waits(std::move(completion));
  return cudaSuccess;
}

cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t from, cudaEvent_t to) {
  const Entry entry("cudaEventElapsedTime");
  if (!from->timed || !to->timed || from->latest == nullptr || to->latest == nullptr) {
    return fail(cudaErrorInvalidResourceHandle,
                "cudaEventElapsedTime: an event without timing, or never recorded");
  }
  if (!is_done(*from->latest) || !is_done(*to->latest)) return cudaErrorNotReady;
  *ms = std::chrono::duration<float, std::milli>(to->latest->time - from->latest->time).count();
  return cudaSuccess;
}
