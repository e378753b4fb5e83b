// A thread that looks after calls that a GPU carries out, since the host, which waits for the GPU,
// cannot: for errors that NCCL finds, and for a call that gets nowhere. Calls nothing of CUDA's or
// NCCL's but through Event and NcclComm.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "backend/stopwatch.h"
#include "backend/stream.h"
#include "collective/nccl_comm.h"
#include "collective/transport.h"

namespace seqrank {

class NcclWatch {
 public:
  // patience: seconds that a call may take from where its stream reached it; 0 = for ever.
  // on_failure(why): on this thread, once.
  NcclWatch(double patience, std::function<void(const std::string&)> on_failure);
  ~NcclWatch();

  // A call that is on its stream, between the two events; later ones end later.
  void add(const Call& call, std::shared_ptr<NcclComm> comm, Event reached, Event done);
  // Lets go of the calls that are done; add() does, too. (The thread does not: what it drops, it
  // would give back at any time.)
  void drop_done();
  void abort_all();    // the communicators of calls under way
  void check() const;  // throws Error(peers) with what has failed

 private:
  struct Entry {
    std::int64_t number;
    Call call;
    std::shared_ptr<NcclComm> comm;
    Event reached, done;
  };
  void work();
  std::string trouble();

  double patience_;
  std::function<void(const std::string&)> on_failure_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Entry> under_way_;  // and some that are done
  std::int64_t added_ = 0;
  std::int64_t watched_ = -1;       // the number of the oldest that is not done
  std::optional<Stopwatch> since_;  // its stream reached it
  std::string failure_;
  bool stopping_ = false;
  std::thread thread_;  // last: starts when all else is made
};

}  // namespace seqrank
