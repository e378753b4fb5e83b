// Keeps tensors alive until a device is done with them, where the work was enqueued on another
// stream than the one in whose order the arena reuses blocks. Never waits.
#pragma once

#include <deque>
#include <utility>

#include "backend/stream.h"
#include "backend/tensor.h"

namespace seqrank {

class Keeper {
 public:
  // `done` of later calls is reached later.
  void keep(Event done, Tensor tensor) {
    drop();
    if (done.done()) return;
    kept_.emplace_back(std::move(done), std::move(tensor));
  }
  // Lets go of what is done with.
  void drop() {
    while (!kept_.empty() && kept_.front().first.done()) kept_.pop_front();
  }

 private:
  std::deque<std::pair<Event, Tensor>> kept_;
};

}  // namespace seqrank
