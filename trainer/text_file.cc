// See text_file.h.
#include "trainer/text_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "backend/check.h"
#include "data/file.h"

namespace seqrank {

std::string read_text_file(const std::string& path, std::int64_t limit_bytes) {
  // O_NONBLOCK: opening a FIFO must not wait for a writer.
  const File file(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  const std::int64_t bytes = file.size();
  SR_CHECK(bytes <= limit_bytes, ErrorKind::data, "{}: {} bytes, more than the {} allowed", path,
           bytes, limit_bytes);
  std::string text(static_cast<std::size_t>(bytes), '\0');
  file.read_at(0, text.data(), text.size());
  return text;
}

void write_text_file(const std::string& path, std::string_view text) {
  const File file(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW);
  file.write_at(0, text.data(), text.size());
  file.sync();
}

void sync_folder(const std::string& path) {
  const File folder(path, O_RDONLY | O_DIRECTORY);
  if (::fsync(folder.descriptor()) == 0) return;
  const int code = errno;  // EINVAL: a file system that has nothing to wait for
  SR_CHECK(code == EINVAL, ErrorKind::data, "{}: cannot be forced to disk: {}", path,
           std::system_category().message(code));
}

}  // namespace seqrank
