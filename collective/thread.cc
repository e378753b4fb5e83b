// The thread transport: ranks meet at a barrier, read each other's tensors, and meet again. All
// synchronisation is one mutex and one condition variable a world: simple, and nothing that
// ThreadSanitizer cannot follow. Sums are taken in the order of the ranks. Not built for speed.
#include "collective/thread.h"

#include <fmt/format.h>
#include <omp.h>

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <numeric>
#include <thread>

#include "collective/combine.h"
#include "collective/transport.h"

namespace seqrank {
namespace {

// What all ranks of one with_ranks() share.
struct World {
  explicit World(int ranks) : ended(ranks, false) {}

  void fail(int rank, const std::string& reason) {
    std::lock_guard lock(mutex);
    if (failed_rank < 0) {
      failed_rank = rank;
      why = reason;
    }
    changed.notify_all();
  }
  // The rank's body has returned: it will take part in nothing more.
  void end(int rank) {
    std::lock_guard lock(mutex);
    ended[rank] = true;
    changed.notify_all();
  }

  std::mutex mutex;
  std::condition_variable changed;  // anything below, or a group's generation
  int failed_rank = -1;             // the first
  std::string why;
  std::vector<bool> ended;
};

// What one rank shows the others during a call.
struct Slot {
  Call call;
  std::byte* data = nullptr;
  std::span<const std::int64_t> send_counts;
  int colour = 0, key = 0;
  std::shared_ptr<class Group> part;
};

// The ranks of one communicator.
class Group {
 public:
  Group(std::shared_ptr<World> world, std::vector<int> members)
      : slots(members.size()),
        calls{std::vector<Call>(members.size()), std::vector<Call>(members.size())},
        world_(std::move(world)),
        members_(std::move(members)) {}

  // The way into a call. Either all ranks get through, or all that come throw.
  void enter(const Call& call) {
    std::unique_lock lock(world_->mutex);
    const std::int64_t generation = generation_;
    if (!broken() && arrive()) return;
    world_->changed.wait(lock, [&] { return generation_ != generation || broken(); });
    if (generation_ != generation) return;
    const int rank = world_->failed_rank;
    SR_CHECK(rank < 0, ErrorKind::peers, "{}: rank {} failed: {}", call.str(), rank, world_->why);
    throw Error(ErrorKind::peers,
                fmt::format("{}: rank {} ended without taking part", call.str(), gone()));
  }

  // Inside a call, where every rank is sure to come: never fails, so that no rank leaves (and frees
  // its tensor) while another still reads.
  void meet() {
    std::unique_lock lock(world_->mutex);
    if (arrive()) return;
    const std::int64_t generation = generation_;
    world_->changed.wait(lock, [&] { return generation_ != generation; });
  }

  World& world() const { return *world_; }
  std::shared_ptr<World> shared_world() const { return world_; }
  const std::vector<int>& members() const { return members_; }  // ranks of the world

  // Written by their rank, read by all between two meetings.
  std::vector<Slot> slots;
  // By turns, so that a fast rank's next call does not overwrite the one others still compare.
  std::vector<Call> calls[2];

 private:
  bool arrive() {
    if (++arrived_ < static_cast<int>(members_.size())) return false;
    arrived_ = 0;
    ++generation_;
    world_->changed.notify_all();
    return true;
  }
  // For good: a rank that left enter() by an error never counts as arrived for one that comes.
  bool broken() const { return world_->failed_rank >= 0 || gone() >= 0; }
  int gone() const {
    for (int member : members_)
      if (world_->ended[member]) return member;
    return -1;
  }

  std::shared_ptr<World> world_;
  std::vector<int> members_;
  int arrived_ = 0;
  std::int64_t generation_ = 0;  // meetings so far
};

class ThreadTransport final : public Transport {
 public:
  ThreadTransport(std::shared_ptr<Group> group, int rank)
      : Transport(rank, static_cast<int>(group->members().size())), group_(std::move(group)) {}

  void agree(const Call& call) override {
    std::vector<Call>& calls = group_->calls[call.sequence % 2];
    calls[rank()] = call;
    group_->enter(call);
    check_same_call(calls);  // free here, so in every build
  }

  void all_reduce(const Call& call, Tensor x, Reduce op) override {
    reduce_scatter(call, x, op);
    all_gather(call, x);
  }

  void reduce_scatter(const Call& call, Tensor x, Reduce op) override {
    slot().data = static_cast<std::byte*>(x.raw());
    group_->meet();
    reduce_piece(call, op);
    group_->meet();
  }

  void all_gather(const Call& call, Tensor x) override {
    const std::size_t width = dtype_size(x.dtype());
    slot().data = static_cast<std::byte*>(x.raw());
    group_->meet();
    for (int r = 0; r < size(); ++r) {
      const auto piece = Communicator::piece_range(call.count, r, size());
      if (r == rank()) continue;
      std::memcpy(slot().data + piece.begin * width, group_->slots[r].data + piece.begin * width,
                  (piece.end - piece.begin) * width);
    }
    group_->meet();
  }

  void broadcast(const Call&, Tensor x, int root) override {
    slot().data = static_cast<std::byte*>(x.raw());
    group_->meet();
    if (rank() != root) std::memcpy(x.raw(), group_->slots[root].data, x.bytes());
    group_->meet();
  }

  void all_to_all_v(const Call& call, Tensor received, std::span<const std::int64_t> receive_counts,
                    Tensor sent, std::span<const std::int64_t> send_counts) override {
    slot().data = static_cast<std::byte*>(sent.raw());
    slot().send_counts = send_counts;
    group_->meet();
    const std::size_t width = dtype_size(received.dtype());
    auto* to = static_cast<std::byte*>(received.raw());
    std::string difference;
    for (int r = 0; r < size(); ++r) {
      const std::span<const std::int64_t> counts = group_->slots[r].send_counts;
      if (counts[rank()] != receive_counts[r]) {
        difference = fmt::format("{}: rank {} sends {} elements to rank {}, which expects {}",
                                 call.str(), r, counts[rank()], rank(), receive_counts[r]);
        break;
      }
      const auto before = std::accumulate(counts.begin(), counts.begin() + rank(), std::int64_t{0});
      std::memcpy(to, group_->slots[r].data + before * width, receive_counts[r] * width);
      to += receive_counts[r] * width;
    }
    group_->meet();
    SR_CHECK(difference.empty(), ErrorKind::peers, "{}", difference);
  }

  void barrier(const Call&) override {}  // agree() was one

  std::shared_ptr<Transport> split(const Call&, int colour, int key) override {
    slot().colour = colour;
    slot().key = key;
    group_->meet();
    std::vector<int> members;  // ranks of this group
    for (int r = 0; r < size(); ++r)
      if (group_->slots[r].colour == colour) members.push_back(r);
    std::ranges::stable_sort(members, {}, [&](int r) { return group_->slots[r].key; });
    Slot& leader = group_->slots[members[0]];
    if (members[0] == rank()) {
      std::vector<int> of_world;
      for (int r : members) of_world.push_back(group_->members()[r]);
      leader.part = std::make_shared<Group>(group_->shared_world(), std::move(of_world));
    }
    group_->meet();
    const auto place = std::ranges::find(members, rank()) - members.begin();
    auto part = std::make_shared<ThreadTransport>(leader.part, static_cast<int>(place));
    group_->meet();
    slot().part = nullptr;
    return part;
  }

  std::shared_ptr<Transport> split_shared(const Call& call) override { return split(call, 0, 0); }
  std::string algorithm(const Call&) const override { return "shared memory"; }
  void close() override {}

  [[noreturn]] void abort(const std::string& why, int exit_code) override {
    group_->world().fail(world_rank(), why);
    throw Error(static_cast<ErrorKind>(exit_code), why);
  }
  void abandon() noexcept override {
    group_->world().fail(world_rank(), "an error left its communicator");
  }

 private:
  Slot& slot() { return group_->slots[rank()]; }
  int world_rank() const { return group_->members()[rank()]; }

  // This rank's piece of its x = reduction of everyone's, in the order of the ranks. Nobody else
  // touches that piece of this rank's x meanwhile.
  void reduce_piece(const Call& call, Reduce op) {
    const auto piece = Communicator::piece_range(call.count, rank(), size());
    const auto width = static_cast<std::int64_t>(dtype_size(call.dtype));
    const auto of = [&](int r) { return group_->slots[r].data + piece.begin * width; };
    const std::int64_t n = piece.end - piece.begin;
    std::vector<std::byte> sum(of(0), of(0) + n * width);
    for (int r = 1; r < size(); ++r) combine(call.dtype, sum.data(), of(r), n, op);
    std::ranges::copy(sum, of(rank()));
  }

  std::shared_ptr<Group> group_;
};

std::string message_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    return "an error that is no std::exception";
  }
}

}  // namespace

void with_ranks(int ranks, const std::function<void(Communicator&)>& body) {
  SR_CHECK(ranks >= 1, ErrorKind::peers, "with_ranks: {} ranks; give at least 1", ranks);
  auto world = std::make_shared<World>(ranks);
  std::vector<int> members(ranks);
  std::iota(members.begin(), members.end(), 0);
  auto group = std::make_shared<Group>(world, members);
  std::vector<std::exception_ptr> errors(ranks);

  const auto run = [&](int rank) {
    omp_set_num_threads(1);
    Communicator communicator(std::make_shared<ThreadTransport>(group, rank), make_worker_stream());
    try {
      body(communicator);
      communicator.stream().synchronize();
    } catch (...) {
      errors[rank] = std::current_exception();
      world->fail(rank, message_of(errors[rank]));
    }
  };
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&, rank] {
      run(rank);
      world->end(rank);
    });
  }
  for (std::thread& thread : threads) thread.join();
  if (world->failed_rank >= 0 && errors[world->failed_rank])
    std::rethrow_exception(errors[world->failed_rank]);
  for (const std::exception_ptr& error : errors)
    if (error) std::rethrow_exception(error);
}

}  // namespace seqrank
