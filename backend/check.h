// Errors. SR_CHECK throws for input and environment, with what to do next; SR_ASSERT aborts for our
// own bugs. Every Error carries the class that main() turns into the documented exit code.
// Nothing here prints or exits, except SR_ASSERT.
#pragma once

#include <fmt/core.h>

#include <stdexcept>
#include <string>

namespace seqrank {

// The value is the exit code of the program (docs: design, section "Checkpoints and failure").
enum class ErrorKind {
  usage = 2,       // command line and configuration
  data = 3,        // input text, data sets
  device = 4,      // processor, memory, accelerator
  peers = 5,       // other ranks and collectives
  checkpoint = 6,  // saving and loading training state
};

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const { return kind_; }
  int exit_code() const { return static_cast<int>(kind_); }

 private:
  ErrorKind kind_;
};

[[noreturn]] void assert_failed(const char* condition, const char* file, int line,
                                const std::string& message);

}  // namespace seqrank

// SR_CHECK(rows > 0, ErrorKind::data, "{}: no rows; give a file with at least one event", path);
#define SR_CHECK(condition, kind, ...)                            \
  do {                                                            \
    if (!(condition)) [[unlikely]]                                \
      throw ::seqrank::Error((kind), ::fmt::format(__VA_ARGS__)); \
  } while (false)

#define SR_ASSERT(condition, ...)                                                           \
  do {                                                                                      \
    if (!(condition)) [[unlikely]]                                                          \
      ::seqrank::assert_failed(#condition, __FILE__, __LINE__, ::fmt::format(__VA_ARGS__)); \
  } while (false)
