// Plain files by descriptor: whole reads and writes at an offset, or an Error(data) that names the
// path. HDF5 is not involved, so nothing here waits for its lock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

namespace seqrank {

class File {
 public:
  File() = default;
  // flags as for open(2); O_CLOEXEC is added. Files are made with mode 0666 and the umask.
  File(const std::string& path, int flags);
  // A file of no name beside `path`, gone when closed, however the process ends.
  static File temporary_beside(const std::string& path);
  File(File&& other) noexcept
      : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}
  File& operator=(File&& other) noexcept;
  ~File();

  const std::string& path() const { return path_; }
  int descriptor() const { return descriptor_; }
  std::int64_t size() const;
  void read_at(std::int64_t offset, void* out, std::size_t bytes) const;
  void write_at(std::int64_t offset, const void* in, std::size_t bytes) const;
  void sync() const;

 private:
  std::string path_;
  int descriptor_ = -1;
};

// Makes a finished file visible under its final name, durably.
void rename_and_sync(const std::string& from, const std::string& to);

}  // namespace seqrank
