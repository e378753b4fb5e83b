// Temporary files that have no name: they vanish with the process, kill -9 included, and so need no
// cleaning up. Written once front to back, then read by any number of readers.
// Does not know what the bytes mean; records are data/record.h.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace seqrank {

// Where temporary files go, and how many bytes they hold. Thread-safe; outlives its files.
class TempFolder {
 public:
  explicit TempFolder(std::string folder) : folder_(std::move(folder)) {}
  const std::string& path() const { return folder_; }
  std::int64_t peak_bytes() const { return peak_; }
  void grow(std::int64_t bytes);  // negative: freed

 private:
  std::string folder_;
  std::atomic<std::int64_t> bytes_{0};
  std::atomic<std::int64_t> peak_{0};
};

class TempFile {
 public:
  // Throws Error(data) where the folder cannot be written.
  explicit TempFile(TempFolder& folder);
  ~TempFile();
  TempFile(const TempFile&) = delete;
  TempFile& operator=(const TempFile&) = delete;

  // Buffered. Throws Error(data) on a full disk.
  void append(const void* data, std::size_t bytes);
  void append_record(std::string_view record);  // its length (u16), then its bytes
  // To be called after the last append and before the first reader; frees the buffer.
  void flush();
  std::int64_t size() const { return size_; }
  // Bytes read from `offset`; fewer than asked only at the end.
  std::size_t read_at(std::int64_t offset, void* out, std::size_t bytes) const;

 private:
  void write_out(const char* data, std::size_t bytes);

  TempFolder& folder_;
  int fd_ = -1;
  std::int64_t size_ = 0;  // with what is still in the buffer
  std::int64_t written_ = 0;
  std::size_t fill_ = 0;
  std::unique_ptr<char[]> buffer_;
};

// Reads a flushed TempFile front to back through one buffer. The file outlives it.
class TempReader {
 public:
  TempReader(const TempFile& file, std::size_t buffer_bytes);
  // The next `bytes` bytes, valid until the next call; SR_ASSERTs that there are as many.
  std::string_view take(std::size_t bytes);
  // The next record of append_record; false at the end.
  bool next_record(std::string_view& record);
  bool at_end() const { return begin_ == end_ && offset_ == file_->size(); }

 private:
  const TempFile* file_;
  std::unique_ptr<char[]> buffer_;
  std::size_t capacity_;
  std::size_t begin_ = 0;  // of what is not yet taken, in the buffer
  std::size_t end_ = 0;
  std::int64_t offset_ = 0;  // in the file, of the buffer's end
};

}  // namespace seqrank
