// Every byte the program prints or reports passes here, so that no write goes unchecked.
#include "launch/output.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "backend/check.h"

namespace seqrank {
namespace {

void check_out(bool written) {
  if (written || errno == EPIPE) return;
  SR_CHECK(false, ErrorKind::data, "standard output: cannot write: {}", std::strerror(errno));
}

// Into what is no plain file: /dev/stdout, a pipe, a link. A rename would replace the thing itself.
void write_into(const std::string& path, const std::string& text) {
  flush_out();  // where it is standard output under another name, what was printed comes first
  std::FILE* file = std::fopen(path.c_str(), "wb");
  SR_CHECK(file != nullptr, ErrorKind::data, "{}: cannot open: {}", path, std::strerror(errno));
  bool whole = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  whole = std::fflush(file) == 0 && whole;
  const int reason = errno;
  std::fclose(file);
  SR_CHECK(whole, ErrorKind::data, "{}: cannot write: {}", path, std::strerror(reason));
}

}  // namespace

std::string one_line(const std::string& message) {
  std::string line;
  for (const char c : message) {
    const auto byte = static_cast<unsigned char>(c);
    line += byte < 0x20 || byte == 0x7F ? fmt::format("\\x{:02x}", byte) : std::string(1, c);
  }
  return line;
}

void print_out(const std::string& text) {
  check_out(std::fwrite(text.data(), 1, text.size(), stdout) == text.size());
}

void flush_out() {
  check_out(std::fflush(stdout) == 0);
}

void write_file(const std::string& path, const std::string& text) {
  std::error_code error;
  const auto there = std::filesystem::symlink_status(path, error).type();
  if (there != std::filesystem::file_type::regular &&
      there != std::filesystem::file_type::not_found) {
    write_into(path, text);
    return;
  }
  const std::string temporary = fmt::format("{}.{}.tmp", path, ::getpid());
  std::FILE* file = std::fopen(temporary.c_str(), "wb");
  SR_CHECK(file != nullptr, ErrorKind::data, "{}: cannot create: {}", path, std::strerror(errno));
  bool whole = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  whole = std::fflush(file) == 0 && whole;
  whole = ::fsync(::fileno(file)) == 0 && whole;
  int reason = errno;
  std::fclose(file);
  if (whole && std::rename(temporary.c_str(), path.c_str()) == 0) return;
  if (whole) reason = errno;
  std::remove(temporary.c_str());
  SR_CHECK(false, ErrorKind::data, "{}: cannot write: {}", path, std::strerror(reason));
}

}  // namespace seqrank
