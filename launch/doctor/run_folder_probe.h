// Tries the run folder without making it: where it is not there yet, the folder in which it will
// be. Leaves nothing behind.
#pragma once

#include <cstdint>
#include <string>

namespace seqrank {

// The part of `path` that is there: "runs/a", or "runs", or ".".
std::string existing_part(const std::string& path);

// Makes and removes a file in `folder`; the reason why that fails, or "".
std::string why_not_writable(const std::string& folder, int rank);

// A file that says by being seen that two ranks mean the same folder. Removed with the object.
class Token {
 public:
  Token() = default;
  explicit Token(const std::string& folder);  // with an empty name where it cannot be made
  ~Token();
  Token(const Token&) = delete;
  Token& operator=(const Token&) = delete;
  const std::string& name() const { return name_; }  // without the folder

 private:
  std::string folder_, name_;
};

// Whether the token lies where `run` is or will be, or above. Network file systems may show another
// host's file or folder late: it is looked for again for up to two seconds before it counts as
// missing.
bool token_seen(const std::string& run, const std::string& name);

std::int64_t free_bytes(const std::string& folder);  // for this user; 0 where it cannot be told

}  // namespace seqrank
