// Written under another name and moved: no rank reads half of it.
#include "collective/tcp_notice.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>

#include "backend/check.h"

namespace seqrank {

void write_notice(const std::string& path, const TcpNotice& notice) {
  const std::string draft = path + ".new";
  std::ofstream file(draft);
  file << notice.token << ' ' << notice.port;
  for (const std::string& address : notice.addresses) file << ' ' << address;
  file << '\n';
  file.close();
  SR_CHECK(file && std::rename(draft.c_str(), path.c_str()) == 0, ErrorKind::peers,
           "cannot write {}, by which the ranks meet: {}", path, std::strerror(errno));
}

std::optional<TcpNotice> read_notice(const std::string& path) {
  std::ifstream file(path);
  std::string line, address;
  if (!std::getline(file, line)) return std::nullopt;
  std::istringstream words(line);
  TcpNotice notice;
  if (!(words >> notice.token >> notice.port)) return std::nullopt;
  while (words >> address) notice.addresses.push_back(address);
  return notice;
}

}  // namespace seqrank
