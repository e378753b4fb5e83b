// Stored bytes come through one buffer; gzip and zstd are told by their first bytes, so that
// standard input and misnamed files work. Several members or frames in a row are one text.
#include "data/byte_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "backend/check.h"

namespace seqrank {
namespace {

constexpr std::size_t kBuffer = 256 * 1024;
constexpr int kMaxWindowLog = 25;  // 32 MiB, the largest window of zstd levels without --long

class StoredBytes {
 public:
  StoredBytes(int fd, std::string name) : fd_(fd), name_(std::move(name)), buffer_(kBuffer) {}
  ~StoredBytes() {
    if (fd_ != STDIN_FILENO) ::close(fd_);
  }
  StoredBytes(const StoredBytes&) = delete;
  StoredBytes& operator=(const StoredBytes&) = delete;

  // Fills the buffer when it is empty, or up to `least` bytes; false: nothing more.
  bool fill(std::size_t least = 1) {
    if (end_ - begin_ >= least) return true;
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
    while (end_ < least) {
      const ssize_t n = ::read(fd_, buffer_.data() + end_, buffer_.size() - end_);
      if (n < 0 && errno == EINTR) continue;
      SR_CHECK(n >= 0, ErrorKind::data, "{}: cannot be read: {}", name_, std::strerror(errno));
      if (n == 0) break;
      end_ += static_cast<std::size_t>(n);
      *bytes_read_ += n;
    }
    return begin_ < end_;
  }
  const char* data() const { return buffer_.data() + begin_; }
  std::size_t size() const { return end_ - begin_; }
  void consume(std::size_t bytes) { begin_ += bytes; }
  bool starts_with(std::string_view magic) const {
    return std::string_view(data(), size()).substr(0, magic.size()) == magic;
  }
  const std::string& name() const { return name_; }
  std::shared_ptr<const std::int64_t> bytes_read() const { return bytes_read_; }

 private:
  int fd_;
  std::string name_;
  std::vector<char> buffer_;
  std::size_t begin_ = 0, end_ = 0;
  std::shared_ptr<std::int64_t> bytes_read_ = std::make_shared<std::int64_t>(0);
};

class PlainSource : public ByteSource {
 public:
  explicit PlainSource(std::unique_ptr<StoredBytes> stored) : stored_(std::move(stored)) {}
  std::size_t read(char* out, std::size_t bytes) override {
    if (!stored_->fill()) return 0;
    const std::size_t n = std::min(bytes, stored_->size());
    std::memcpy(out, stored_->data(), n);
    stored_->consume(n);
    return n;
  }

 private:
  std::unique_ptr<StoredBytes> stored_;
};

class GzipSource : public ByteSource {
 public:
  explicit GzipSource(std::unique_ptr<StoredBytes> stored) : stored_(std::move(stored)) {
    SR_ASSERT(::inflateInit2(&state_, 15 + 16) == Z_OK, "zlib does not start");
  }
  ~GzipSource() override { ::inflateEnd(&state_); }

  std::size_t read(char* out, std::size_t bytes) override {
    state_.next_out = reinterpret_cast<Bytef*>(out);
    state_.avail_out = static_cast<uInt>(bytes);
    while (state_.avail_out == bytes) {
      if (!stored_->fill()) {
        SR_CHECK(between_members_, ErrorKind::data,
                 "{}: the gzip data ends too early; the file is cut off", stored_->name());
        return 0;
      }
      if (between_members_) ::inflateReset(&state_);
      between_members_ = false;
      state_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(stored_->data()));
      state_.avail_in = static_cast<uInt>(stored_->size());
      const int code = ::inflate(&state_, Z_NO_FLUSH);
      stored_->consume(stored_->size() - state_.avail_in);
      SR_CHECK(code == Z_OK || code == Z_STREAM_END, ErrorKind::data,
               "{}: the gzip data is damaged ({})", stored_->name(),
               state_.msg ? state_.msg : "zlib error");
      between_members_ = code == Z_STREAM_END;
    }
    return bytes - state_.avail_out;
  }

 private:
  std::unique_ptr<StoredBytes> stored_;
  z_stream state_{};
  bool between_members_ = false;
};

class ZstdSource : public ByteSource {
 public:
  explicit ZstdSource(std::unique_ptr<StoredBytes> stored)
      : stored_(std::move(stored)), state_(ZSTD_createDStream()) {
    ZSTD_DCtx_setParameter(state_, ZSTD_d_windowLogMax, kMaxWindowLog);
  }
  ~ZstdSource() override { ZSTD_freeDStream(state_); }

  std::size_t read(char* out, std::size_t bytes) override {
    ZSTD_outBuffer output{out, bytes, 0};
    while (output.pos == 0) {
      const bool more = stored_->fill();
      if (!more && between_frames_) return 0;
      ZSTD_inBuffer input{stored_->data(), stored_->size(), 0};
      const std::size_t code = ZSTD_decompressStream(state_, &output, &input);
      stored_->consume(input.pos);
      SR_CHECK(!ZSTD_isError(code), ErrorKind::data,
               "{}: the zstd data cannot be read ({}); packed with --long it needs unpacking first",
               stored_->name(), ZSTD_getErrorName(code));
      SR_CHECK(more || output.pos > 0, ErrorKind::data,
               "{}: the zstd data ends too early; the file is cut off", stored_->name());
      between_frames_ = code == 0;
    }
    return output.pos;
  }

 private:
  std::unique_ptr<StoredBytes> stored_;
  ZSTD_DStream* state_;
  bool between_frames_ = false;
};

}  // namespace

OpenedSource open_source(const std::string& path) {
  OpenedSource opened;
  opened.name = path == "-" ? "standard input" : path;
  int fd = STDIN_FILENO;
  if (path != "-") {
    fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    SR_CHECK(fd >= 0, ErrorKind::data, "{}: cannot be opened: {}", path, std::strerror(errno));
  }
  auto stored = std::make_unique<StoredBytes>(fd, opened.name);
  struct stat status {};
  SR_CHECK(::fstat(fd, &status) == 0, ErrorKind::data, "{}: {}", opened.name, std::strerror(errno));
  SR_CHECK(!S_ISDIR(status.st_mode), ErrorKind::data, "{}: is a folder; give a text file", path);
  if (S_ISREG(status.st_mode)) opened.stored_bytes = status.st_size;
  opened.stored_bytes_read = stored->bytes_read();
  stored->fill(4);
  if (stored->starts_with("\x1f\x8b")) {
    opened.source = std::make_unique<GzipSource>(std::move(stored));
  } else if (stored->starts_with("\x28\xb5\x2f\xfd")) {
    opened.source = std::make_unique<ZstdSource>(std::move(stored));
  } else {
    opened.source = std::make_unique<PlainSource>(std::move(stored));
  }
  return opened;
}

}  // namespace seqrank
