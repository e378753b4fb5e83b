// The two host streams: inline (compute) and worker (communication).
#include "backend/stream.h"

#include <atomic>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <thread>

#include "backend/stopwatch.h"

namespace seqrank {
namespace {

class TimedWaits {
 public:
  void wait(const Event& event) {
    if (event.done()) return event.wait();  // no clock, but its error
    const Stopwatch watch;
    event.wait();
    seconds_ += watch.seconds();
  }
  double seconds() const { return seconds_; }

 private:
  std::atomic<double> seconds_ = 0;
};

class InlineStream : public Stream {
 public:
  void enqueue(std::function<void()> task) override { task(); }
  Event record() override { return Event(); }
  void wait(const Event& event) override { waits_.wait(event); }
  void synchronize() override {}
  double waited_seconds() const override { return waits_.seconds(); }
  void copy(void* to, const void* from, std::size_t bytes, Copy) override {
    if (bytes > 0 && to != from) std::memcpy(to, from, bytes);
  }

 private:
  TimedWaits waits_;
};

class PlannedStream final : public InlineStream {
 public:
  void copy(void*, const void*, std::size_t, Copy) override {}
};

class HostEvent final : public EventState {
 public:
  bool done() const override {
    std::lock_guard lock(mutex_);
    return done_;
  }
  void wait() override {
    std::unique_lock lock(mutex_);
    reached_.wait(lock, [&] { return done_; });
    if (error_) std::rethrow_exception(error_);
  }
  void set(std::exception_ptr error) {
    std::lock_guard lock(mutex_);
    done_ = true;
    error_ = error;
    reached_.notify_all();  // under the lock: the waiter may destroy this event at once
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable reached_;
  bool done_ = false;
  std::exception_ptr error_;
};

class WorkerStream final : public Stream {
 public:
  WorkerStream() : worker_([this] { work(); }) {}
  ~WorkerStream() override {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    arrived_.notify_one();
    worker_.join();
  }

  void enqueue(std::function<void()> task) override { push({std::move(task), nullptr}); }

  Event record() override {
    auto event = std::make_shared<HostEvent>();
    push({nullptr, event});
    return Event(event);
  }

  void wait(const Event& event) override {
    enqueue([this, event] { waits_.wait(event); });
  }

  void synchronize() override { record().wait(); }
  double waited_seconds() const override { return waits_.seconds(); }
  void copy(void* to, const void* from, std::size_t bytes, Copy) override {
    if (bytes > 0 && to != from) enqueue([=] { std::memcpy(to, from, bytes); });
  }

 private:
  struct Entry {
    std::function<void()> task;
    std::shared_ptr<HostEvent> event;
  };

  void push(Entry entry) {
    {
      std::lock_guard lock(mutex_);
      queue_.push_back(std::move(entry));
    }
    arrived_.notify_one();
  }

  void work() {
    while (true) {
      Entry entry;
      {
        std::unique_lock lock(mutex_);
        arrived_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
        if (queue_.empty()) return;
        entry = std::move(queue_.front());
        queue_.pop_front();
      }
      if (entry.event) {
        entry.event->set(error_);
      } else if (!error_) {
        try {
          entry.task();
        } catch (...) {
          error_ = std::current_exception();
        }
      }
    }
  }

  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<Entry> queue_;
  bool stopping_ = false;
  TimedWaits waits_;
  std::exception_ptr error_;  // of the first task that failed; worker thread only
  std::thread worker_;        // last: starts when all else is made
};

}  // namespace

std::unique_ptr<Stream> make_planned_stream() {
  return std::make_unique<PlannedStream>();
}
std::unique_ptr<Stream> make_inline_stream() {
  return std::make_unique<InlineStream>();
}
std::unique_ptr<Stream> make_worker_stream() {
  return std::make_unique<WorkerStream>();
}

}  // namespace seqrank
