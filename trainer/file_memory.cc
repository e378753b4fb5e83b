// Blocks mapped from files by offset 0, shared, so that pages are written back to them.
#include "trainer/file_memory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>
#include <mutex>
#include <system_error>

#include "backend/check.h"
#include "data/file.h"

namespace seqrank {
namespace {

// A file system that cannot reserve is refused: where it fills up later, a step would end with
// SIGBUS.
void reserve(const File& file, std::size_t bytes) {
  SR_CHECK(::fallocate(file.descriptor(), 0, 0, static_cast<off_t>(bytes)) == 0, ErrorKind::device,
           "{}: no room for {:.1f} GB of a table: {}; give another --table.folder", file.path(),
           static_cast<double>(bytes) / 1e9, std::strerror(errno));
}

struct Mapped {
  File file;
  std::size_t bytes;
};

class FileMemory final : public Memory {
 public:
  explicit FileMemory(std::string folder) : folder_(std::move(folder)) {}
  // A folder that was made for it, and that nobody put anything into, goes again: a run that is
  // refused leaves nothing.
  ~FileMemory() override {
    std::error_code error;
    if (made_) std::filesystem::remove(folder_, error);
  }
  FileMemory(const FileMemory&) = delete;
  FileMemory& operator=(const FileMemory&) = delete;

  void* obtain(std::size_t bytes) override {
    std::error_code error;
    made_ |= std::filesystem::create_directories(folder_, error);
    SR_CHECK(!error, ErrorKind::data, "{}: cannot be made: {}", folder_, error.message());
    File file = File::temporary_beside(folder_ + "/table");
    reserve(file, bytes);
    void* block = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.descriptor(), 0);
    SR_CHECK(block != MAP_FAILED, ErrorKind::device, "{}: {} bytes cannot be mapped: {}",
             file.path(), bytes, std::strerror(errno));
    ::madvise(block, bytes, MADV_RANDOM);  // rows: what lies beside one is not read soon
    std::lock_guard lock(mutex_);
    files_.emplace(block, Mapped{std::move(file), bytes});
    return block;
  }

  // Rows that were written lie between others that were not, an extent of the file each; a file
  // system that tells its disk of every one that it frees (ext4 mounted with discard) takes minutes
  // for some ten thousand. Zeroed as a whole, the file is one again.
  void give_back(void* block) override {
    std::lock_guard lock(mutex_);
    const auto entry = files_.find(block);
    const auto& [file, bytes] = entry->second;
    ::munmap(block, bytes);
    (void)::fallocate(file.descriptor(), FALLOC_FL_ZERO_RANGE, 0, static_cast<off_t>(bytes));
    files_.erase(entry);
  }

 private:
  std::string folder_;
  bool made_ = false;  // by this
  std::mutex mutex_;
  std::map<void*, Mapped> files_;  // by block
};

}  // namespace

std::unique_ptr<Memory> make_file_memory(const std::string& folder) {
  return std::make_unique<FileMemory>(folder);
}

}  // namespace seqrank
