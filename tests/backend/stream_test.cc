// Order, errors and life time of the host streams.
#include "backend/stream.h"

#include <gtest/gtest.h>

#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

namespace seqrank {
namespace {

TEST(WorkerStream, RunsTasksInOrder) {
  auto stream = make_worker_stream();
  std::vector<int> seen;
  for (int i = 0; i < 100; ++i) stream->enqueue([&seen, i] { seen.push_back(i); });
  stream->synchronize();
  ASSERT_EQ(seen.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(seen[i], i);
}

TEST(WorkerStream, WaitsForAnotherStream) {
  auto first = make_worker_stream();
  auto second = make_worker_stream();
  int value = 0;
  first->enqueue([&] { value = 1; });
  second->wait(first->record());
  int seen = -1;
  second->enqueue([&] { seen = value; });
  second->synchronize();
  EXPECT_EQ(seen, 1);
}

TEST(WorkerStream, ErrorReachesWhoeverWaitsAndLaterTasksAreDropped) {
  auto stream = make_worker_stream();
  Event before = stream->record();
  bool ran = false;
  stream->enqueue([] { throw std::runtime_error("peer lost"); });
  stream->enqueue([&] { ran = true; });
  before.wait();
  EXPECT_THROW(stream->record().wait(), std::runtime_error);
  EXPECT_THROW(stream->synchronize(), std::runtime_error);
  EXPECT_FALSE(ran);
}

TEST(InlineStream, RunsAtOnce) {
  auto stream = make_inline_stream();
  int value = 0;
  stream->enqueue([&] { value = 1; });
  EXPECT_EQ(value, 1);
  EXPECT_TRUE(stream->record().done());
}

// Done a while after somebody begins to wait for it, so that every wait has a least length.
class LateEvent final : public EventState {
 public:
  static constexpr auto kDelay = std::chrono::milliseconds(2);
  bool done() const override { return done_; }
  void wait() override {
    std::this_thread::sleep_for(kDelay);
    done_ = true;
  }

 private:
  bool done_ = false;
};

TEST(Stream, CountsTheTimeItStandsStillAndNothingElse) {
  const double delay = std::chrono::duration<double>(LateEvent::kDelay).count();
  for (const auto& make : {make_inline_stream, make_worker_stream}) {
    const auto stream = make();
    stream->enqueue([] { std::this_thread::sleep_for(LateEvent::kDelay); });
    stream->wait(Event());
    stream->synchronize();
    EXPECT_EQ(stream->waited_seconds(), 0);
    const Event late(std::make_shared<LateEvent>());
    stream->wait(late);
    stream->synchronize();
    const double waited = stream->waited_seconds();
    EXPECT_GE(waited, delay);
    stream->wait(late);  // done by now
    stream->synchronize();
    EXPECT_EQ(stream->waited_seconds(), waited);
  }
}

}  // namespace
}  // namespace seqrank
