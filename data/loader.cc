// The reading thread, and what waits for it.
#include "data/loader.h"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>

#include "backend/check.h"
#include "data/event_columns.h"
#include "data/made_features.h"
#include "data/masked_batch.h"
#include "data/step_batches.h"

namespace seqrank {

struct TrainLoader::Impl {
  Impl(const Protocol& protocol, Arena& arena, const LoaderOptions& options)
      : batches(protocol, arena, options), prefetch(static_cast<std::size_t>(options.prefetch)) {}

  void run();
  void wait_for_batch(std::unique_lock<std::mutex>& lock);

  StepBatches batches;
  const std::size_t prefetch;

  // The reading thread makes batches next_to_make, ... in order into `ready`, at most `prefetch` of
  // them. seek() starts a new generation; a batch of an older one is dropped.
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Batch> ready;
  std::exception_ptr failure;
  std::int64_t next_to_make = 0;
  std::int64_t generation = 0;
  bool stopping = false;
  double wait_seconds = 0;
  std::thread thread;
};

void TrainLoader::Impl::run() {
  std::unique_lock lock(mutex);
  for (;;) {
    changed.wait(lock, [this] { return stopping || (!failure && ready.size() < prefetch); });
    if (stopping) return;
    const std::int64_t step = next_to_make, made_for = generation;
    lock.unlock();
    Batch batch;
    std::exception_ptr error;
    try {
      batch = batches.make(step);
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    if (made_for != generation) continue;
    if (error) {
      failure = error;
    } else {
      ready.push_back(std::move(batch));
      ++next_to_make;
    }
    changed.notify_all();
  }
}

void TrainLoader::Impl::wait_for_batch(std::unique_lock<std::mutex>& lock) {
  if (ready.empty() && !failure) {
    const auto start = std::chrono::steady_clock::now();
    changed.wait(lock, [this] { return !ready.empty() || failure; });
    wait_seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  if (ready.empty()) std::rethrow_exception(failure);
}

TrainLoader::TrainLoader(const Protocol& protocol, Arena& arena, const LoaderOptions& options) {
  SR_CHECK(options.global_batch >= 1, ErrorKind::usage, "batch is {}; it must be at least 1",
           options.global_batch);
  SR_CHECK(options.max_length >= 1, ErrorKind::usage,
           "the longest sample is {} events; it must be at least 1", options.max_length);
  SR_CHECK(options.prefetch >= 1, ErrorKind::usage, "prefetch is {}; it must be at least 1",
           options.prefetch);
  SR_ASSERT(options.world >= 1 && options.rank >= 0 && options.rank < options.world,
            "rank {} of {}", options.rank, options.world);
  check_columns(protocol.dataset(), options.needs, options.max_length);
  check_made_features(protocol, options.needs);
  check_masking(options.needs, options.max_length);
  impl_ = std::make_unique<Impl>(protocol, arena, options);
  SR_CHECK(impl_->batches.windows() > 0, ErrorKind::data,
           "{}: has nothing to train on: no sequence has two events that protocol {} leaves for "
           "training",
           protocol.dataset().path(), protocol_name(protocol.kind()));
  impl_->thread = std::thread([this] { impl_->run(); });
}

TrainLoader::~TrainLoader() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
  }
  impl_->changed.notify_all();
  impl_->thread.join();
}

std::int64_t TrainLoader::samples() const {
  return impl_->batches.samples();
}

std::int64_t TrainLoader::steps_per_epoch() const {
  return impl_->batches.steps_per_epoch();
}

std::int64_t TrainLoader::events(std::int64_t step) const {
  return impl_->batches.events(step);
}

void TrainLoader::seek(std::int64_t step) {
  SR_ASSERT(step >= 0, "step {}", step);
  {
    const std::lock_guard lock(impl_->mutex);
    ++impl_->generation;
    impl_->next_to_make = step;
    impl_->ready.clear();
    impl_->failure = nullptr;
  }
  impl_->changed.notify_all();
}

Batch TrainLoader::next() {
  std::unique_lock lock(impl_->mutex);
  impl_->wait_for_batch(lock);
  Batch batch = std::move(impl_->ready.front());
  impl_->ready.pop_front();
  lock.unlock();
  impl_->changed.notify_all();
  return batch;
}

Batch TrainLoader::peek() {
  std::unique_lock lock(impl_->mutex);
  impl_->wait_for_batch(lock);
  return impl_->ready.front();
}

void TrainLoader::fill() {
  std::unique_lock lock(impl_->mutex);
  impl_->changed.wait(lock,
                      [this] { return impl_->ready.size() == impl_->prefetch || impl_->failure; });
  if (impl_->failure) std::rethrow_exception(impl_->failure);
}

double TrainLoader::wait_seconds() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->wait_seconds;
}

}  // namespace seqrank
