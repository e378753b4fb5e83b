// Every call is repeated until done or failed: short reads and writes and EINTR end here.
#include "data/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "backend/check.h"

namespace seqrank {
namespace {

std::string folder_of(const std::string& path) {
  const auto slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

File::File(const std::string& path, int flags) : path_(path) {
  do {
    descriptor_ = ::open(path.c_str(), flags | O_CLOEXEC, 0666);
  } while (descriptor_ < 0 && errno == EINTR);
  SR_CHECK(descriptor_ >= 0, ErrorKind::data, "{}: cannot be opened: {}", path,
           std::strerror(errno));
}

File File::temporary_beside(const std::string& path) {
  // Several live at once in one process, and several processes may write into one folder.
  static std::atomic<unsigned> count{0};
  const std::string name = fmt::format("{}.tmp-{}-{}", path, ::getpid(), count++);
  File file(name, O_RDWR | O_CREAT | O_EXCL);
  ::unlink(name.c_str());
  file.path_ = path;  // what the user knows, for messages
  return file;
}

File& File::operator=(File&& other) noexcept {
  if (this != &other) {
    if (descriptor_ >= 0) ::close(descriptor_);
    path_ = std::move(other.path_);
    descriptor_ = std::exchange(other.descriptor_, -1);
  }
  return *this;
}

File::~File() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

std::int64_t File::size() const {
  struct stat status {};
  SR_CHECK(::fstat(descriptor_, &status) == 0, ErrorKind::data, "{}: cannot be examined: {}", path_,
           std::strerror(errno));
  return status.st_size;
}

void File::read_at(std::int64_t offset, void* out, std::size_t bytes) const {
  auto* place = static_cast<char*>(out);
  while (bytes > 0) {
    const ssize_t got = ::pread(descriptor_, place, bytes, offset);
    if (got < 0 && errno == EINTR) continue;
    SR_CHECK(got >= 0, ErrorKind::data, "{}: cannot be read at byte {}: {}", path_, offset,
             std::strerror(errno));
    SR_CHECK(got > 0, ErrorKind::data, "{}: ends at byte {}, {} bytes short; it was cut while open",
             path_, offset, bytes);
    place += got;
    offset += got;
    bytes -= static_cast<std::size_t>(got);
  }
}

void File::write_at(std::int64_t offset, const void* in, std::size_t bytes) const {
  const auto* place = static_cast<const char*>(in);
  while (bytes > 0) {
    const ssize_t put = ::pwrite(descriptor_, place, bytes, offset);
    if (put < 0 && errno == EINTR) continue;
    SR_CHECK(put > 0, ErrorKind::data, "{}: cannot be written: {}", path_,
             put == 0 ? "no progress" : std::strerror(errno));
    place += put;
    offset += put;
    bytes -= static_cast<std::size_t>(put);
  }
}

void File::sync() const {
  SR_CHECK(::fsync(descriptor_) == 0, ErrorKind::data, "{}: cannot be written: {}", path_,
           std::strerror(errno));
}

void rename_and_sync(const std::string& from, const std::string& to) {
  SR_CHECK(std::rename(from.c_str(), to.c_str()) == 0, ErrorKind::data,
           "{}: cannot be given its final name: {}", to, std::strerror(errno));
  const File folder(folder_of(to), O_RDONLY | O_DIRECTORY);
  // Some network file systems cannot sync a folder; the rename itself has happened.
  if (::fsync(folder.descriptor()) != 0) {
    SR_CHECK(errno == EINVAL || errno == ENOTSUP || errno == EBADF || errno == EROFS,
             ErrorKind::data, "{}: folder cannot be synced: {}", to, std::strerror(errno));
  }
}

}  // namespace seqrank
