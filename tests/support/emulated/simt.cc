// What kernels call (simt.h), and the launch of a grid over one or more OS threads.
#include "tests/support/emulated/simt.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "tests/support/emulated/block_runner.h"
#include "tests/support/emulated/sanitizers.h"
#include "tests/support/emulated/state.h"

namespace seqrank::simt {

namespace {

void run_blocks(Launch& launch) {
  for (std::size_t i; (i = launch.next_block++) < launch.blocks;) {
    runner().run(launch, i);
    ++emu::progress;
  }
}

// Lends OS threads to launches that ask for more than one.
class Helpers {
 public:
  void run(Launch& launch, std::size_t count) {
    Job job{&launch, count};
    {
      const std::lock_guard lock(mutex_);
      while (threads_.size() < count) threads_.emplace_back([this] { work(); });
      for (std::size_t i = 0; i < count; ++i) queue_.push_back(&job);
    }
    wake_.notify_all();
    run_blocks_traced(launch);
    std::unique_lock lock(mutex_);
    job.open -= std::erase(queue_, &job);  // what no helper has taken yet is not needed any more
    done_.wait(lock, [&] { return job.open == 0; });
  }
  ~Helpers() {
    const sanitizers::Untraced untraced;
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wake_.notify_all();
    for (std::thread& t : threads_) t.join();
  }

 private:
  struct Job {
    Launch* launch;
    std::size_t open;
  };
  static void run_blocks_traced(Launch& launch) {
    const sanitizers::Traced traced;
    sanitizers::acquire(&launch.begun);
    run_blocks(launch);
    sanitizers::release(&launch.ended);
  }
  void work() {
    const sanitizers::Untraced untraced;
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait(lock, [&] { return stop_ || !queue_.empty(); });
      if (stop_) return;
      Job* job = queue_.back();
      queue_.pop_back();
      lock.unlock();
      run_blocks_traced(*job->launch);
      lock.lock();
      if (--job->open == 0) done_.notify_all();
    }
  }
  std::mutex mutex_;
  std::condition_variable wake_, done_;
  std::vector<Job*> queue_;
  std::vector<std::thread> threads_;
  bool stop_ = false;
};

}  // namespace

void sync_threads(Place place) {
  runner().sync_threads(place);
}

const Packet* exchange(std::uint32_t mask, const Packet& mine, const Meeting& meeting,
                       Place place) {
  return runner().exchange(mask, mine, meeting, place);
}

std::uint32_t ballot(std::uint32_t mask, bool predicate, Place place) {
  Packet mine{};
  mine.bytes[0] = predicate;
  const Combine combine = [](Packet(&packets)[32], std::uint32_t came) {
    std::uint32_t result = 0;
    for (unsigned lane = 0; lane < 32; ++lane) {
      if (came >> lane & 1) result |= std::uint32_t{packets[lane].bytes[0]} << lane;
    }
    for (Packet& p : packets) std::memcpy(&p, &result, sizeof result);
  };
  const Packet* all = exchange(mask, mine, {"a warp vote", false, combine}, place);
  std::uint32_t result;
  std::memcpy(&result, all, sizeof result);
  return result;
}

std::uint32_t living_lanes() {
  return thread->warp->alive;
}

void* shared_memory(const void* key, std::size_t bytes) {
  return runner().shared_memory(key, bytes);
}

void* dynamic_shared_memory() {
  return runner().dynamic_shared_memory();
}

void run(const Shape& shape, const std::function<void()>& body) {
  const std::size_t blocks = std::size_t{shape.grid.x} * shape.grid.y * shape.grid.z;
  const emu::Options& o = emu::options();
  Launch launch{shape, &body, blocks, EMU_TSAN && o.tsan == emu::TsanView::threads};
  sanitizers::release(&launch.begun);
  const std::size_t os_threads = std::min<std::size_t>(blocks, std::max(1u, o.os_threads));
  if (os_threads == 1) {
    run_blocks(launch);
  } else {
    const sanitizers::Untraced untraced;
    static Helpers pool;
    pool.run(launch, os_threads - 1);
  }
  sanitizers::acquire(&launch.ended);
}

}  // namespace seqrank::simt
