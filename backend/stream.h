// Order of work. A Stream is a queue; an Event is a place in it that another stream, or the host,
// waits for. On the CPU the compute stream runs work at once on the calling thread and the
// communication stream is one worker thread, so that MPI overlaps with compute through the very
// calls that NCCL uses. A GPU's stream (backend/cuda/runtime.h) is another subclass.
#pragma once

#include <cstddef>
#include <exception>
#include <functional>
#include <memory>

namespace seqrank {

class EventState {
 public:
  virtual ~EventState() = default;
  virtual bool done() const = 0;
  // Blocks the host; rethrows the first error of the stream up to this place.
  virtual void wait() = 0;
};

// Copyable; a default-made Event is done.
class Event {
 public:
  Event() = default;
  explicit Event(std::shared_ptr<EventState> state) : state_(std::move(state)) {}
  bool done() const { return state_ == nullptr || state_->done(); }
  void wait() const {
    if (state_ != nullptr) state_->wait();
  }
  const EventState* state() const { return state_.get(); }  // null: done

 private:
  std::shared_ptr<EventState> state_;
};

class Stream {
 public:
  virtual ~Stream() = default;
  // Runs `task` on the host when the stream gets there. Tasks of one stream run in order. An error
  // thrown by a task reaches whoever waits next, and later tasks of that stream are dropped. On a
  // GPU's stream the task runs at once, and what it enqueues on that stream is in order.
  virtual void enqueue(std::function<void()> task) = 0;
  virtual Event record() = 0;
  virtual void wait(const Event& event) = 0;  // later work of this stream runs after `event`
  virtual void synchronize() = 0;             // the host waits for all of it; rethrows
  // How long this stream has stood still in wait(), since it was made: of the compute stream, the
  // exposed communication. May be asked from any thread.
  virtual double waited_seconds() const = 0;

  // Bytes, in the order of the stream. A GPU's needs pinned host memory that lives until then.
  enum class Copy { to_device, to_host, on_device };
  virtual void copy(void* to, const void* from, std::size_t bytes, Copy direction) = 0;
};

std::unique_ptr<Stream> make_inline_stream();   // CPU compute
std::unique_ptr<Stream> make_planned_stream();  // the same, and copies nothing
std::unique_ptr<Stream> make_worker_stream();   // CPU communication and background saving

}  // namespace seqrank
