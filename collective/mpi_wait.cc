// Polls quickly at first, then sleeps between polls: ranks on one processor each also compute
// there.
#include "collective/mpi_wait.h"

#include <fmt/format.h>
#include <sched.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <thread>

namespace seqrank {
namespace {

// A message of half a megabyte takes this long in shared memory; a network takes longer.
constexpr std::chrono::microseconds kSpin{200};
// A sleep costs a processor 15 us. Growing with the wait, it adds an eighth to it at the most.
constexpr std::chrono::nanoseconds kShortestSleep{50'000}, kLongestSleep{500'000};
constexpr int kNotes = 4;  // sent in the second half of the patience
constexpr int kHostBytes = 64;
constexpr unsigned kAbortSeconds = 5;

double seconds(std::chrono::steady_clock::duration d) {
  return std::chrono::duration<double>(d).count();
}

}  // namespace

void check_mpi(int code, const std::string& what) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  MPI_Error_string(code, text, &length);
  throw Error(ErrorKind::peers,
              fmt::format("{}: {}; look for the first message of another rank", what, text));
}

void end_world(int exit_code) {
  ::signal(SIGALRM, SIG_DFL);
  ::alarm(kAbortSeconds);  // telling the launcher may hang when its host is out of reach
  MPI_Abort(MPI_COMM_WORLD, exit_code);
  std::_Exit(exit_code);  // MPI_Abort need not return, but may
}

MpiBlockGuard::MpiBlockGuard(std::string what, double patience) {
  if (patience <= 0) return;
  watcher_ = std::thread([this, what = std::move(what), patience] {
    std::unique_lock lock(mutex_);
    if (ended_.wait_for(lock, std::chrono::duration<double>(patience), [this] { return over_; }))
      return;
    std::fputs(fmt::format("seqrank: {}: nothing from the other ranks for {:.0f} s; look for the "
                           "first message of another rank, and at the network\n",
                           what, patience)
                   .c_str(),
               stderr);
    end_world(static_cast<int>(ErrorKind::peers));
  });
}

MpiBlockGuard::~MpiBlockGuard() {
  if (!watcher_.joinable()) return;
  {
    std::lock_guard lock(mutex_);
    over_ = true;
  }
  ended_.notify_one();
  watcher_.join();
}

MpiWaiter::MpiWaiter(MPI_Comm comm, double patience) : patience_(patience) {
  ::prctl(PR_SET_TIMERSLACK, 1000, 0, 0, 0);  // or a sleep takes twice as long as asked for
  const MpiBlockGuard guard("making a communicator", patience);
  check_mpi(MPI_Comm_dup(comm, &notes_), "MPI_Comm_dup");
  int size = 0;
  check_mpi(MPI_Comm_rank(notes_, &rank_), "MPI_Comm_rank");
  check_mpi(MPI_Comm_size(notes_, &size), "MPI_Comm_size");
  using Host = std::array<char, kHostBytes>;
  Host own{};
  ::gethostname(own.data(), kHostBytes - 1);
  std::vector<Host> all(size);
  check_mpi(
      MPI_Allgather(own.data(), kHostBytes, MPI_CHAR, all.data(), kHostBytes, MPI_CHAR, notes_),
      "MPI_Allgather of host names");
  for (const Host& host : all) hosts_.emplace_back(host.data());
  heard_.resize(size);
}

void MpiWaiter::close() {
  check_mpi(MPI_Comm_free(&notes_), "MPI_Comm_free");
}

void MpiWaiter::begin(const Call& call) {
  call_ = call;
  progressed();
}

void MpiWaiter::progressed() {
  since_ = Clock::now();
  calling_ = false;
}

void MpiWaiter::all(std::span<MPI_Request> requests, std::span<MPI_Status> statuses) {
  for (int done = 0; !done;) {
    const int code = MPI_Testall(static_cast<int>(requests.size()), requests.data(), &done,
                                 statuses.empty() ? MPI_STATUSES_IGNORE : statuses.data());
    if (code == MPI_ERR_IN_STATUS)
      for (const MPI_Status& status : statuses) check_mpi(status.MPI_ERROR, call_);
    check_mpi(code, call_);
    if (!done) idle();
  }
  progressed();
}

void MpiWaiter::idle() {
  const auto now = Clock::now();
  const auto waited = now - since_;
  if (patience_ > 0 && seconds(waited) > patience_ / 2) roll_call(now);
  if (waited < kSpin) {
    ::sched_yield();
  } else {
    std::this_thread::sleep_for(
        std::clamp<std::chrono::nanoseconds>(waited / 8, kShortestSleep, kLongestSleep));
  }
}

void MpiWaiter::roll_call(Clock::time_point now) {
  if (!calling_) {
    while (receive_note()) {  // of an earlier stall that passed
    }
    heard_.assign(heard_.size(), std::nullopt);
    calling_ = true;
    next_note_ = now;
  }
  if (now >= next_note_) {
    next_note_ = now + std::chrono::duration_cast<Clock::duration>(
                           std::chrono::duration<double>(patience_ / 2 / kNotes));
    for (int peer = 0; peer < static_cast<int>(heard_.size()); ++peer) {
      if (peer == rank_) continue;
      MPI_Request request;  // nobody waits for it: the peer may be gone
      check_mpi(MPI_Isend(&call_, sizeof(Call), MPI_BYTE, peer, 0, notes_, &request), call_);
      check_mpi(MPI_Request_free(&request), call_);
    }
  }
  while (receive_note()) {
  }
  if (seconds(now - since_) >= patience_) give_up(seconds(now - since_));
}

bool MpiWaiter::receive_note() {
  int there = 0;
  MPI_Status status;
  check_mpi(MPI_Iprobe(MPI_ANY_SOURCE, 0, notes_, &there, &status), call_);
  if (!there) return false;
  Call call{};
  check_mpi(
      MPI_Recv(&call, sizeof(Call), MPI_BYTE, status.MPI_SOURCE, 0, notes_, MPI_STATUS_IGNORE),
      call_);
  heard_[status.MPI_SOURCE] = call;
  return true;
}

std::string MpiWaiter::name_of(int rank) const {
  return fmt::format("rank {} ({})", rank, hosts_[rank]);
}

void MpiWaiter::give_up(double waited) const {
  std::string silent, elsewhere;
  int silent_ranks = 0;
  constexpr int kNamed = 8;
  for (int peer = 0; peer < static_cast<int>(heard_.size()); ++peer) {
    if (peer == rank_) continue;
    if (!heard_[peer]) {
      if (++silent_ranks <= kNamed) silent += (silent.empty() ? "" : ", ") + name_of(peer);
    } else if (!(*heard_[peer] == call_) && elsewhere.empty()) {
      elsewhere = fmt::format("{} waits in {}", name_of(peer), heard_[peer]->str());
    }
  }
  if (silent_ranks > kNamed) silent += fmt::format(" and {} more", silent_ranks - kNamed);
  std::string why = "nothing moves though every rank is waiting in it; look at the network";
  if (silent_ranks > 0) {
    why = fmt::format("no word from {}; look at that process, its host and the network", silent);
  } else if (!elsewhere.empty()) {
    why = elsewhere + "; every rank must make the same calls in the same order";
  }
  throw Error(ErrorKind::peers,
              fmt::format("{}: {:.0f} s without progress: {}", call_.str(), waited, why));
}

}  // namespace seqrank
