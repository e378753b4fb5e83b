// The staged all-reduce of the training step of two ranks (all_reduce.h).
#include "tests/emulated/all_reduce.h"

#include "tests/emulated/fault.h"

namespace seqrank::emu {

void ThreadGroup::barrier(std::unique_lock<std::mutex>& lock) {
  const long round = round_;
  if (++here_ == size_) {
    here_ = 0;
    ++round_;
    all_here_.notify_all();
  }
  all_here_.wait(lock, [&] { return round_ != round; });
}

void ThreadGroup::all_reduce(int rank, std::span<const float> part, std::span<float> total) {
  {
    std::unique_lock lock(mutex_);
    parts_[static_cast<std::size_t>(rank)] = part;
    barrier(lock);
  }
  for (std::size_t i = 0; i < total.size(); ++i) {
    total[i] = 0;
    for (const auto& p : parts_) total[i] += p[i];
  }
  std::unique_lock lock(mutex_);
  barrier(lock);  // nobody's part may change before all have read it
}

void StagedAllReduce::reduce() {
  if (is_planted(Fault::call_in_host_task)) {
    std::size_t available, total;
    cuda_check(cudaMemGetInfo(&available, &total), "cudaMemGetInfo");
  }
  group_.all_reduce(rank_, part_.span(), total_.span());
}

void StagedAllReduce::enqueue(const Stream& stream, std::span<float> bucket) {
  copy(stream, part_.span(), bucket);
  declare(stream.get(), "all-reduce",
          {range(cuda::in(part_.span())), range(cuda::out(total_.span()))});
  const auto task = [](void* self) { static_cast<StagedAllReduce*>(self)->reduce(); };
  cuda_check(cudaLaunchHostFunc(stream.get(), task, this), "cudaLaunchHostFunc");
  copy(stream, bucket, total_.span());
}

}  // namespace seqrank::emu
