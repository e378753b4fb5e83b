// Looks ten times a second: often enough for a patience of seconds, and no load.
#include "collective/nccl_watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

namespace seqrank {
namespace {

constexpr auto kPause = std::chrono::milliseconds(100);

}  // namespace

NcclWatch::NcclWatch(double patience, std::function<void(const std::string&)> on_failure)
    : patience_(patience), on_failure_(std::move(on_failure)), thread_([this] { work(); }) {}

NcclWatch::~NcclWatch() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void NcclWatch::add(const Call& call, std::shared_ptr<NcclComm> comm, Event reached, Event done) {
  drop_done();
  const std::lock_guard lock(mutex_);
  under_way_.push_back({added_++, call, std::move(comm), std::move(reached), std::move(done)});
  changed_.notify_one();
}

void NcclWatch::drop_done() {
  const std::lock_guard lock(mutex_);
  while (!under_way_.empty() && under_way_.front().done.done()) under_way_.pop_front();
}

void NcclWatch::abort_all() {
  const std::lock_guard lock(mutex_);
  for (const Entry& entry : under_way_) entry.comm->abort();
}

void NcclWatch::check() const {
  const std::lock_guard lock(mutex_);
  SR_CHECK(failure_.empty(), ErrorKind::peers, "{}", failure_);
}

void NcclWatch::work() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    changed_.wait(lock, [this] { return stopping_ || !under_way_.empty(); });
    changed_.wait_for(lock, kPause, [this] { return stopping_; });
    if (stopping_) return;
    failure_ = trouble();
    if (failure_.empty()) continue;
    const std::string why = failure_;
    lock.unlock();
    on_failure_(why);
    abort_all();  // where the others' processes, or this one, go on
    return;
  }
}

// What is wrong with the oldest call that is not done; "" = nothing.
std::string NcclWatch::trouble() {
  std::string call;
  try {
    const auto oldest =
        std::ranges::find_if(under_way_, [](const Entry& entry) { return !entry.done.done(); });
    if (oldest == under_way_.end()) return "";
    call = oldest->call.str() + ": ";
    if (oldest->number != watched_) {
      watched_ = oldest->number;
      since_.reset();
    }
    if (!since_ && oldest->reached.done()) since_.emplace();
    oldest->comm->settled();
    if (patience_ <= 0 || !since_ || since_->seconds() < patience_) return "";
    return fmt::format(
        "{}{:.0f} s without progress: a rank has not come to this call, or the network is down; "
        "look for the rank that says nothing, its process and its host",
        call, since_->seconds());
  } catch (const Error& error) {
    return call + error.what();
  }
}

}  // namespace seqrank
