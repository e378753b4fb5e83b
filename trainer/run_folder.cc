// See run_folder.h.
#include "trainer/run_folder.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <system_error>
#include <thread>

#include "backend/check.h"
#include "models/ini_file.h"
#include "trainer/text_file.h"

namespace seqrank {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr std::int64_t kConfigLimit = 1 << 20;  // bytes
// With a training that still ends: a killed one gives its memory back before its locks.
constexpr std::chrono::seconds kPatience(5);

// The parts used here speak of data sets and usage; the same trouble is one with the run folder.
template <class Work>
auto as_checkpoint_error(Work&& work) {
  try {
    return work();
  } catch (const Error& error) {
    throw Error(ErrorKind::checkpoint, error.what());
  }
}

void truncate(const File& file, std::int64_t bytes) {
  if (::ftruncate(file.descriptor(), bytes) == 0) return;
  const int code = errno;
  throw Error(ErrorKind::checkpoint, fmt::format("{}: cannot be cut to {} bytes: {}", file.path(),
                                                 bytes, std::system_category().message(code)));
}

// Just after the last line end among the first `bytes`.
std::int64_t whole_lines(const File& file, std::int64_t bytes) {
  char block[4096];
  while (bytes > 0) {
    const std::int64_t begin = std::max<std::int64_t>(0, bytes - std::int64_t{sizeof block});
    file.read_at(begin, block, static_cast<std::size_t>(bytes - begin));
    for (std::int64_t at = bytes; at > begin; --at)
      if (block[at - 1 - begin] == '\n') return at;
    bytes = begin;
  }
  return 0;
}

}  // namespace

void RunFolder::create_and_lock() {
  std::error_code error;
  fs::create_directories(path_, error);
  SR_CHECK(!error, ErrorKind::checkpoint, "{}: the run folder cannot be made: {}", path_,
           error.message());
  locked_log_ = as_checkpoint_error([&] { return File(log_path(), O_RDWR | O_CREAT); });
  const auto give_up = std::chrono::steady_clock::now() + kPatience;
  while (::flock(locked_log_.descriptor(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    SR_CHECK(std::chrono::steady_clock::now() < give_up, ErrorKind::checkpoint,
             "{}: another training runs in this folder; wait for its end, or give another --run",
             path_);
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

void RunFolder::write_config(const Options& options) const {
  const std::string temporary = config_path() + ".tmp";
  as_checkpoint_error([&] {
    try {
      write_text_file(temporary, to_ini(options));
      rename_and_sync(temporary, config_path());
    } catch (const Error&) {
      std::error_code ignored;
      fs::remove(temporary, ignored);
      throw;
    }
  });
}

std::map<std::string, std::string> RunFolder::config() const {
  return as_checkpoint_error([&] {
    std::map<std::string, std::string> values;
    for (const IniEntry& entry :
         parse_ini(read_text_file(config_path(), kConfigLimit), config_path()))
      if (!entry.value.empty()) values[entry.key] = entry.value;
    return values;
  });
}

void RunFolder::log(const std::string& line) const {
  std::ofstream(log_path(), std::ios::app)
      << fmt::format("{:%Y-%m-%d %H:%M:%S} ", fmt::gmtime(std::time(nullptr))) << line << "\n";
}

bool RunFolder::stop_file() const {
  return ::access((path_ + "/STOP").c_str(), F_OK) == 0;
}

void RunFolder::withdraw_stop_file() const {
  std::error_code error;
  fs::remove(path_ + "/STOP", error);
  SR_CHECK(!error, ErrorKind::checkpoint, "{}/STOP: cannot be removed: {}", path_, error.message());
}

std::string RunFolder::open_metrics(std::int64_t bytes) {
  return as_checkpoint_error([&]() -> std::string {
    metrics_ = File(metrics_path(), O_RDWR | O_CREAT);
    metrics_bytes_ = whole_lines(metrics_, std::min(bytes, metrics_.size()));
    truncate(metrics_, metrics_bytes_);
    if (metrics_bytes_ == bytes) return "";
    return fmt::format("{}: {} bytes of whole lines, the checkpoint was written at {}: lines lost",
                       metrics_path(), metrics_bytes_, bytes);
  });
}

void RunFolder::append_step(const StepLine& line) {
  append(Json({{"step", line.step},
               {"epoch", line.epoch},
               {"loss", line.loss},
               {"lr", line.lr},
               {"grad_norm", line.grad_norm},
               {"events", line.events},
               {"events_per_s", line.events_per_s},
               {"seconds", line.seconds}})
             .dump());
  if (events_)
    events_->append(line.step, "train",
                    {{"loss", line.loss},
                     {"lr", line.lr},
                     {"grad_norm", line.grad_norm},
                     {"events_per_s", line.events_per_s}});
}

void RunFolder::append_evaluation(std::int64_t step, const std::string& split,
                                  const std::map<std::string, double>& metrics) {
  append(Json({{"step", step}, {"split", split}, {"metrics", metrics}}).dump());
  if (events_) events_->append(step, split, metrics);
}

void RunFolder::append(std::string line) {
  SR_ASSERT(metrics_.descriptor() >= 0, "metrics are appended before open_metrics()");
  line += '\n';
  try {
    metrics_.write_at(metrics_bytes_, line.data(), line.size());
  } catch (const Error& error) {
    truncate(metrics_, metrics_bytes_);
    throw Error(ErrorKind::checkpoint, error.what());
  }
  metrics_bytes_ += static_cast<std::int64_t>(line.size());
}

void RunFolder::sync_metrics() const {
  as_checkpoint_error([&] { metrics_.sync(); });
}

}  // namespace seqrank
