// Parses fault plans and carries them out.
#include "trainer/fault.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <csignal>
#include <sstream>
#include <thread>

#include "backend/check.h"

namespace seqrank {
namespace {

// Every point there is: a plan that names another would pass its test by doing nothing.
const std::vector<std::string> kPoints = {
    "train.start",
    "train.batch",
    "train.step",
    "train.evaluate",
    "checkpoint.before_shard",
    "checkpoint.after_shard_write",
    "checkpoint.after_shard_fsync",
    "checkpoint.before_manifest",
    "checkpoint.after_manifest_fsync",
    "checkpoint.after_manifest_rename",
    "checkpoint.mid_prune",
    "doctor.exchange",
};

int parse_count(const std::string& digits, const std::string& fault) {
  int value = 0;
  const char* end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, value);
  SR_CHECK(error == std::errc() && stop == end && value >= 0, ErrorKind::usage,
           "fault '{}': '{}' is no count", fault, digits);
  return value;
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) parts.push_back(part);
  return parts;
}

}  // namespace

FaultPlan FaultPlan::parse(const std::string& text) {
  FaultPlan plan;
  for (const std::string& part : split(text, ',')) plan.faults_.push_back(parse_one(part));
  return plan;
}

FaultPlan::Fault FaultPlan::parse_one(const std::string& text) {
  const std::vector<std::string> parts = split(text, ':');
  SR_CHECK(parts.size() == 2 || (parts.size() == 3 && parts[1].starts_with("rank=")),
           ErrorKind::usage, "fault '{}' is not point[:rank=N]:kill|stop|fail|sleep=MS", text);
  Fault fault;
  fault.point = parts[0];
  SR_CHECK(std::find(kPoints.begin(), kPoints.end(), fault.point) != kPoints.end(),
           ErrorKind::usage, "fault '{}': no such point; there are {}", text,
           fmt::join(kPoints, ", "));
  if (parts.size() == 3) fault.rank = parse_count(parts[1].substr(5), text);
  const std::string& action = parts.back();
  if (action == "kill") {
    fault.action = Action::kill;
  } else if (action == "stop") {
    fault.action = Action::stop;
  } else if (action == "fail") {
    fault.action = Action::fail;
  } else {
    SR_CHECK(action.starts_with("sleep="), ErrorKind::usage, "fault '{}': unknown action '{}'",
             text, action);
    fault.action = Action::sleep;
    fault.milliseconds = parse_count(action.substr(6), text);
  }
  return fault;
}

void FaultPlan::act(const char* point, int rank) const {
  for (const Fault& fault : faults_) {
    if (fault.point != point || (fault.rank >= 0 && fault.rank != rank)) continue;
    switch (fault.action) {
      case Action::kill:
        ::kill(::getpid(), SIGKILL);
        break;
      case Action::stop:
        ::kill(::getpid(), SIGSTOP);
        break;
      case Action::fail:
        throw Error(ErrorKind::checkpoint, fmt::format("planned fault at {}", point));
      case Action::sleep:
        std::this_thread::sleep_for(std::chrono::milliseconds(fault.milliseconds));
        break;
    }
  }
}

}  // namespace seqrank
