// The bytes of a file or of standard input, decompressed where they are gzip or zstd.
// Knows nothing of lines.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace seqrank {

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // Up to `bytes` bytes; 0 only at the end. Throws Error(data).
  virtual std::size_t read(char* out, std::size_t bytes) = 0;
};

struct OpenedSource {
  std::unique_ptr<ByteSource> source;
  std::shared_ptr<const std::int64_t> stored_bytes_read;
  std::int64_t stored_bytes = 0;  // 0: not known
  std::string name;
};

// "-": standard input. Throws Error(data): missing, a folder, not readable.
OpenedSource open_source(const std::string& path);

}  // namespace seqrank
