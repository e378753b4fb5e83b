// Nameless temporary files: O_TMPFILE where the file system has it, else unlinked as soon as made.
// No fsync: nothing here outlives the process.
#include "data/temp_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "backend/check.h"

namespace seqrank {
namespace {

constexpr std::size_t kWriteBuffer = 256 * 1024;

int open_nameless(const std::string& folder) {
  int fd = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)) return fd;
  const std::string pattern = folder + "/.seqrank-XXXXXX";
  std::vector<char> name(pattern.begin(), pattern.end());
  name.push_back('\0');
  fd = ::mkostemp(name.data(), O_CLOEXEC);
  if (fd >= 0) ::unlink(name.data());
  return fd;
}

}  // namespace

void TempFolder::grow(std::int64_t bytes) {
  const std::int64_t now = bytes_ += bytes;
  std::int64_t peak = peak_;
  while (now > peak && !peak_.compare_exchange_weak(peak, now)) {
  }
}

TempFile::TempFile(TempFolder& folder) : folder_(folder), fd_(open_nameless(folder.path())) {
  SR_CHECK(fd_ >= 0, ErrorKind::data,
           "{}: cannot make a temporary file ({}); give a folder that can be written with --temp",
           folder.path(), std::strerror(errno));
}

TempFile::~TempFile() {
  ::close(fd_);
  folder_.grow(-written_);
}

void TempFile::write_out(const char* data, std::size_t bytes) {
  while (bytes > 0) {
    const ssize_t n = ::write(fd_, data, bytes);
    if (n < 0 && errno == EINTR) continue;
    SR_CHECK(n > 0, ErrorKind::data,
             "{}: cannot write temporary data after {} MB ({}); give a folder with more room with "
             "--temp",
             folder_.path(), folder_.peak_bytes() / 1000000, std::strerror(errno));
    data += n;
    bytes -= static_cast<std::size_t>(n);
    written_ += n;
    folder_.grow(n);
  }
}

void TempFile::append(const void* data, std::size_t bytes) {
  if (bytes == 0) return;  // an empty array may have no address
  if (!buffer_) buffer_ = std::make_unique_for_overwrite<char[]>(kWriteBuffer);
  size_ += static_cast<std::int64_t>(bytes);
  if (fill_ + bytes > kWriteBuffer) {
    write_out(buffer_.get(), fill_);
    fill_ = 0;
  }
  if (bytes > kWriteBuffer) return write_out(static_cast<const char*>(data), bytes);
  std::memcpy(buffer_.get() + fill_, data, bytes);
  fill_ += bytes;
}

void TempFile::append_record(std::string_view record) {
  SR_ASSERT(record.size() <= 0xffff, "a record of {} bytes", record.size());
  const auto size = static_cast<std::uint16_t>(record.size());
  append(&size, sizeof(size));
  append(record.data(), record.size());
}

void TempFile::flush() {
  write_out(buffer_.get(), fill_);
  fill_ = 0;
  buffer_.reset();
}

std::size_t TempFile::read_at(std::int64_t offset, void* out, std::size_t bytes) const {
  std::size_t done = 0;
  while (done < bytes) {
    const ssize_t n = ::pread(fd_, static_cast<char*>(out) + done, bytes - done,
                              offset + static_cast<std::int64_t>(done));
    if (n < 0 && errno == EINTR) continue;
    SR_CHECK(n >= 0, ErrorKind::data, "{}: cannot read temporary data back ({})", folder_.path(),
             std::strerror(errno));
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  return done;
}

TempReader::TempReader(const TempFile& file, std::size_t buffer_bytes)
    : file_(&file),
      buffer_(std::make_unique_for_overwrite<char[]>(buffer_bytes)),
      capacity_(buffer_bytes) {}

std::string_view TempReader::take(std::size_t bytes) {
  if (end_ - begin_ < bytes) {
    const std::size_t left = end_ - begin_;
    if (bytes > capacity_) {
      auto larger = std::make_unique_for_overwrite<char[]>(bytes);
      std::memcpy(larger.get(), buffer_.get() + begin_, left);
      buffer_ = std::move(larger);
      capacity_ = bytes;
    } else {
      std::memmove(buffer_.get(), buffer_.get() + begin_, left);
    }
    const std::size_t n = file_->read_at(offset_, buffer_.get() + left, capacity_ - left);
    offset_ += static_cast<std::int64_t>(n);
    begin_ = 0;
    end_ = left + n;
    SR_ASSERT(end_ >= bytes, "{} bytes asked of a temporary file, {} left", bytes, end_);
  }
  begin_ += bytes;
  return {buffer_.get() + begin_ - bytes, bytes};
}

bool TempReader::next_record(std::string_view& record) {
  if (at_end()) return false;
  std::uint16_t size;
  std::memcpy(&size, take(sizeof(size)).data(), sizeof(size));
  record = take(size);
  return true;
}

}  // namespace seqrank
