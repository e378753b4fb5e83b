// The emulated device: CUDA's functions for events, and the waits of the host.
#include <fmt/core.h>

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "tests/support/emulated/state.h"

using namespace seqrank::emu;  // NOLINT: CUDA's functions are global
using seqrank::sanitizers::Untraced;

namespace {

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

}  // namespace

std::shared_ptr<Completion> seqrank::emu::record(CUstream_st* stream) {
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

void seqrank::emu::host_waits(std::shared_ptr<Completion> completion) {
  {
    const Untraced untraced;
    std::unique_lock lock(completion->mutex);
    const auto limit = std::chrono::seconds(options().stuck_after_s);
    while (!completion->done) {
      const std::uint64_t before = progress;
      const bool done = completion->changed.wait_for(lock, limit, [&] { return completion->done; });
      if (!done && before == progress) report_stuck();
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
