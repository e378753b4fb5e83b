// Training batches. What a step holds is computed from lengths alone, so every rank knows the whole
// global batch without a message and reads only its own part of it.
#include "data/loader.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>

#include "backend/check.h"
#include "data/event_columns.h"
#include "data/masked_batch.h"
#include "data/negatives.h"
#include "data/next_values.h"
#include "data/sample_order.h"
#include "data/slot_schedule.h"
#include "data/windows.h"

namespace seqrank {

// What this rank reads in a step.
struct Share {
  std::vector<Window> windows;
  std::vector<std::int64_t> places;
};

struct TrainLoader::Impl {
  Impl(const Protocol& protocol, Arena& batch_arena, const LoaderOptions& loader_options)
      : dataset(protocol.dataset()),
        arena(batch_arena),
        options(loader_options),
        windows(protocol, loader_options.max_length - extra_inputs()),
        order(loader_options.seed, windows.count()) {
    if (options.needs.slot_events > 0)
      slots.emplace(protocol, options.seed, options.global_batch, options.needs.slot_events);
    if (options.needs.negatives.count == 0) return;
    SR_CHECK(options.needs.objective == Objective::next, ErrorKind::usage,
             "--loss.kind: hidden items are learned with the exact softmax alone");
    negatives.emplace(dataset, windows, options.seed, options.needs.negatives);
  }

  std::int64_t steps_per_epoch() const {
    if (slots) return slots->steps_per_epoch();
    return (windows.count() + options.global_batch - 1) / options.global_batch;
  }
  // A window's last target is an input too where inputs may be hidden.
  std::int64_t extra_inputs() const { return options.needs.objective == Objective::masked; }
  Batch make(std::int64_t step);
  Batch make_next(std::int64_t step, std::span<const Window> all, std::int64_t first_place) const;
  Batch make_slots(std::int64_t step);
  // all: the windows of all ranks.
  Batch pack(std::int64_t step, std::span<const Window> all, const Share& share) const;
  void run();
  void wait_for_batch(std::unique_lock<std::mutex>& lock);

  const Dataset& dataset;
  Arena& arena;
  const LoaderOptions options;
  const TrainingWindows windows;
  const SampleOrder order;
  std::optional<NegativeSampler> negatives;
  std::optional<SlotSchedule> slots;  // of session-parallel training; for the reading thread

  // The reading thread makes batches next_to_make, ... in order into `ready`, at most
  // options.prefetch of them. seek() starts a new generation; a batch of an older one is dropped.
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

Batch TrainLoader::Impl::make(std::int64_t step) {
  if (slots) return make_slots(step);
  const std::int64_t epoch = step / steps_per_epoch();
  const std::int64_t begin = step % steps_per_epoch() * options.global_batch;
  const std::int64_t end = std::min(begin + options.global_batch, windows.count());
  std::vector<Window> all;
  for (std::int64_t place = begin; place < end; ++place) {
    all.push_back(windows.at(order.sample_at(epoch, place)));
    all.back().events += extra_inputs();
  }
  const std::int64_t first_place = epoch * windows.count() + begin;
  if (options.needs.objective == Objective::masked)
    return masked_batch(dataset, arena, options.needs, {options.seed, options.rank, options.world},
                        all, first_place);
  return make_next(step, all, first_place);
}

Batch TrainLoader::Impl::make_next(std::int64_t step, std::span<const Window> all,
                                   std::int64_t first_place) const {
  std::vector<std::int64_t> events;
  for (const Window& window : all) events.push_back(window.events);
  const std::vector<int> rank_of = assign_ranks(events, options.world);
  Share share;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (rank_of[i] != options.rank) continue;
    share.windows.push_back(all[i]);
    share.places.push_back(first_place + static_cast<std::int64_t>(i));
  }
  Batch batch = pack(step, all, share);
  batch.targets_R.resize(options.world);
  for (std::size_t i = 0; i < all.size(); ++i) batch.targets_R[rank_of[i]] += events[i];
  return batch;
}

Batch TrainLoader::Impl::make_slots(std::int64_t step) {
  const SlotRange range = slot_range(options.global_batch, options.rank, options.world);
  struct Reading {
    std::int64_t slot;  // counted in this rank's range
    SlotSchedule::Part part;
  };
  std::vector<Window> all;
  std::vector<Reading> mine;
  std::vector<std::int64_t> targets_R(options.world);
  int rank = 0;  // of the slot
  for (std::int64_t slot = 0; slot < range.all; ++slot) {
    const auto part = slots->at(step / steps_per_epoch(), step % steps_per_epoch(), slot);
    if (!part) continue;
    while (slot >= slot_range(options.global_batch, rank, options.world).end) ++rank;
    targets_R[rank] += part->window.events;
    all.push_back(part->window);
    if (range.begin <= slot && slot < range.end) mine.push_back({slot - range.begin, *part});
  }
  std::ranges::stable_sort(mine, std::greater(),
                           [](const Reading& reading) { return reading.part.window.events; });
  Share share;
  for (const Reading& reading : mine) {
    share.windows.push_back(reading.part.window);
    share.places.push_back(reading.part.place);
  }
  Batch batch = pack(step, all, share);
  batch.targets_R = std::move(targets_R);
  batch.state_from_B = Tensor(arena, DType::i32, {batch.sequences}, Tag::batch);
  batch.state_at_S = Tensor(arena, DType::i32, {range.count()}, Tag::batch);
  const auto state_at_S = batch.state_at_S.span<std::int32_t>();
  std::ranges::fill(state_at_S, 0);
  for (std::size_t b = 0; b < mine.size(); ++b) {
    batch.state_from_B.span<std::int32_t>()[b] =
        static_cast<std::int32_t>(mine[b].part.begins ? range.count() : mine[b].slot);
    state_at_S[mine[b].slot] = batch.last_B.span<std::int32_t>()[b];
  }
  return batch;
}

Batch TrainLoader::Impl::pack(std::int64_t step, std::span<const Window> all,
                              const Share& share) const {
  const std::vector<Window>& mine = share.windows;
  Batch batch = pack_inputs(dataset, arena, mine);
  batch.target_N = pack_targets(dataset, arena, mine);
  add_columns(dataset, arena, mine, options.needs, WithRows::yes, batch);
  if (!options.needs.ahead_column.empty())
    batch.ahead_NK = next_values(arena, batch.ids.at(options.needs.ahead_column), batch.offset_B1,
                                 options.needs.ahead);
  if (negatives) {
    negatives->draw(step, all, arena, batch);
    auto rows = shared_unique_rows(
        arena, {batch.item_N.span<std::int32_t>(), batch.target_N.span<std::int32_t>(),
                batch.negative_S.span<std::int32_t>()});
    batch.item_rows = rows[0];
    batch.target_rows = rows[1];
    batch.negative_rows = rows[2];
  } else if (options.needs.target_rows) {
    auto rows = shared_unique_rows(
        arena, {batch.item_N.span<std::int32_t>(), batch.target_N.span<std::int32_t>()});
    batch.item_rows = rows[0];
    batch.target_rows = rows[1];
  } else {
    batch.item_rows = unique_rows(arena, batch.item_N.span<std::int32_t>());
  }
  std::ranges::copy(share.places, batch.place_B.span<std::int64_t>().begin());
  for (const Window& window : all) batch.global_events += window.events;
  batch.global_targets = batch.global_events;  // every input has an event that follows it
  batch.global_sequences = static_cast<std::int64_t>(all.size());
  return batch;
}

void TrainLoader::Impl::run() {
  std::unique_lock lock(mutex);
  for (;;) {
    changed.wait(lock, [this] {
      return stopping || (!failure && ready.size() < static_cast<std::size_t>(options.prefetch));
    });
    if (stopping) return;
    const std::int64_t step = next_to_make, made_for = generation;
    lock.unlock();
    Batch batch;
    std::exception_ptr error;
    try {
      batch = make(step);
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
  check_masking(options.needs, options.max_length);
  impl_ = std::make_unique<Impl>(protocol, arena, options);
  SR_CHECK(impl_->windows.count() > 0, ErrorKind::data,
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
  return impl_->slots ? impl_->slots->parts() : impl_->windows.count();
}

std::int64_t TrainLoader::steps_per_epoch() const {
  return impl_->steps_per_epoch();
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

double TrainLoader::wait_seconds() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->wait_seconds;
}

}  // namespace seqrank
