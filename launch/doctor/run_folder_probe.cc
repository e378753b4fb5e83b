// See run_folder_probe.h. Failures are answers here, not errors.
#include "launch/doctor/run_folder_probe.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <thread>

#include "launch/ranks.h"

namespace seqrank {
namespace {

// "" or why not. The file is closed before it is removed: NFS would keep it under another name.
std::string make_file(const std::string& path) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (file < 0) return std::strerror(errno);
  const bool written = ::write(file, "x", 1) == 1;
  const std::string reason = written ? "" : std::strerror(errno);
  ::close(file);
  if (!written) ::unlink(path.c_str());
  return reason;
}

// In any part of the path: since the token was laid down, another run may have made more of it, as
// the jobs of an array make the folder that all their runs are in.
bool lies_on(const std::filesystem::path& path, const std::string& name) {
  for (std::filesystem::path part = path;; part = part.parent_path()) {
    if (::access((part / name).c_str(), F_OK) == 0) return true;  // "" / name is in "."
    if (!part.has_relative_path()) return false;
  }
}

}  // namespace

std::string existing_part(const std::string& path) {
  std::filesystem::path part = path;
  std::error_code ignored;
  while (!part.empty() && !std::filesystem::exists(part, ignored)) {
    if (!part.has_relative_path()) break;
    part = part.parent_path();
  }
  return part.empty() ? "." : part.string();
}

std::string why_not_writable(const std::string& folder, int rank) {
  const std::string path =
      fmt::format("{}/.seqrank-doctor-{}-{}-{}", folder, rank, host_name(), ::getpid());
  const std::string reason = make_file(path);
  if (reason.empty()) ::unlink(path.c_str());
  return reason.empty() ? "" : fmt::format("{}: {}", folder, reason);
}

Token::Token(const std::string& folder) : folder_(folder) {
  const std::string name = fmt::format(".seqrank-doctor-{}-{}", host_name(), ::getpid());
  if (make_file(folder + "/" + name).empty()) name_ = name;
}

Token::~Token() {
  if (!name_.empty()) ::unlink((folder_ + "/" + name_).c_str());
}

bool token_seen(const std::string& run, const std::string& name) {
  for (int tries = 0; tries < 20; ++tries) {
    if (lies_on(run, name)) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  return false;
}

std::int64_t free_bytes(const std::string& folder) {
  struct statvfs status {};
  if (::statvfs(folder.c_str(), &status) != 0) return 0;
  return static_cast<std::int64_t>(status.f_bavail) * static_cast<std::int64_t>(status.f_frsize);
}

}  // namespace seqrank
