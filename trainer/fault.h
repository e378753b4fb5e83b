// Named places where a test makes a rank fail, to see what the others and the files do. The plan is
// text that launch hands down ("checkpoint.after_shard_fsync:rank=1:kill"); empty, a point costs
// one comparison. Reads no environment.
#pragma once

#include <string>
#include <vector>

namespace seqrank {

class FaultPlan {
 public:
  FaultPlan() = default;
  // Faults separated by commas: point[:rank=N]:kill|stop|fail|sleep=MS. Without a rank, every rank.
  // A step strikes its point each time. kill and stop are signals to this process, fail throws
  // Error(checkpoint). Throws Error(usage), for an unknown point with the list of points.
  static FaultPlan parse(const std::string& text);

  void at(const char* point, int rank) const {
    if (!faults_.empty()) [[unlikely]]
      act(point, rank);
  }

 private:
  enum class Action { kill, stop, fail, sleep };
  struct Fault {
    std::string point;
    int rank = -1;  // -1 = any
    Action action = Action::fail;
    int milliseconds = 0;
  };
  static Fault parse_one(const std::string& text);
  void act(const char* point, int rank) const;

  std::vector<Fault> faults_;
};

}  // namespace seqrank
