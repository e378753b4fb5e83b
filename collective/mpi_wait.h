// Waiting for MPI: polls instead of blocking, so that a processor is left to those who compute, and
// so that a peer that never comes is noticed and named. Used by the thread that makes all MPI
// calls. Starts no message of the collectives themselves.
#pragma once

#include <mpi.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "collective/transport.h"

namespace seqrank {

// Throws Error(peers), naming `what`, unless the code is MPI_SUCCESS.
void check_mpi(int code, const std::string& what);
inline void check_mpi(int code, const Call& call) {
  if (code != MPI_SUCCESS) check_mpi(code, call.str());
}

// Ends every rank. Does not return, not even where MPI_Abort hangs.
[[noreturn]] void end_world(int exit_code);

// Around the few calls of MPI that can only block: where one lasts longer than the patience, says
// so in one line on standard error, since nobody else can, and ends every rank.
class MpiBlockGuard {
 public:
  MpiBlockGuard(std::string what, double patience);
  ~MpiBlockGuard();

 private:
  std::mutex mutex_;
  std::condition_variable ended_;
  bool over_ = false;
  std::thread watcher_;  // none where the patience is endless
};

class MpiWaiter {
 public:
  // Collective over comm. patience: seconds without any progress after which waiting throws
  // Error(peers); 0 = for ever. Half way there the ranks that wait tell each other so: who has not
  // said a word by the end is named, with its host.
  MpiWaiter(MPI_Comm comm, double patience);
  void close();  // collective

  void begin(const Call& call);  // what is waited in from now on
  // Until all are done. `statuses`: none, or as many as requests.
  void all(std::span<MPI_Request> requests, std::span<MPI_Status> statuses = {});
  void one(MPI_Request request) { all({&request, 1}); }

  // For loops that poll by themselves: after a poll that found something, and one that did not.
  void progressed();
  void idle();

 private:
  using Clock = std::chrono::steady_clock;
  void roll_call(Clock::time_point now);
  bool receive_note();
  [[noreturn]] void give_up(double waited) const;
  std::string name_of(int rank) const;

  MPI_Comm notes_ = MPI_COMM_NULL;  // a channel of its own
  int rank_ = 0;
  double patience_;
  std::vector<std::string> hosts_;  // by rank

  Call call_{};
  Clock::time_point since_{};               // the last progress
  bool calling_ = false;                    // a roll call is on
  Clock::time_point next_note_{};           // when to speak again
  std::vector<std::optional<Call>> heard_;  // in this roll call, by rank: what it waits in
};

}  // namespace seqrank
