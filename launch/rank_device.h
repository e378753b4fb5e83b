// The device a rank computes on, and how the ranks exchange what lies there.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backend/context.h"
#include "collective/communicator.h"
#include "models/options.h"

namespace seqrank {

// "device", "exchange".
std::vector<OptionSpec> device_options();

inline const char* device_name(Device device) {
  return device == Device::cuda ? "cuda" : "cpu";
}

class RankDevice {
 public:
  // Collective: all ranks compute on the same kind of device. A rank takes the device of its local
  // number among those that it sees, or the only one. `why` (see why()) says what auto decided.
  // Throws Error(device) where --device=cuda cannot be had. `options` must outlive this.
  RankDevice(Communicator& world, const Options& options, int threads);
  Context& ctx() { return *ctx_; }
  // Collective, of the commands with world_options().
  Communicators ranks();
  // A line for people where a program with CUDA computes on the CPU all the same; else "".
  const std::string& why() const { return why_; }

 private:
  Communicator& world_;
  const Options& options_;
  std::string why_;
  std::unique_ptr<Context> ctx_;
  std::unique_ptr<Communicator> device_comm_;  // null: the device is the host
};

}  // namespace seqrank
