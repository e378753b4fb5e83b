// The file by which ranks find rank 0 where nobody told them its address. One line of text.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace seqrank {

struct TcpNotice {
  std::uint64_t token = 0;  // by which rank 0 knows who has read it
  int port = 0;
  std::vector<std::string> addresses;  // of rank 0's host
};

void write_notice(const std::string& path, const TcpNotice& notice);  // whole or not at all
std::optional<TcpNotice> read_notice(const std::string& path);        // none: not there (yet)

}  // namespace seqrank
