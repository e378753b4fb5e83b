// Sockets are non-blocking throughout; whoever waits does so in poll(), with a deadline.
#include "collective/tcp_socket.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "backend/check.h"

namespace seqrank {
namespace {

// False: the time is over.
bool wait_for(int fd, short what, Deadline deadline) {
  while (true) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd entry{fd, what, 0};
    const int ready = ::poll(&entry, 1, static_cast<int>(std::clamp<long>(left.count(), 0, 1000)));
    if (ready > 0) return true;
    if (ready == 0 && left.count() <= 0) return false;
  }
}

void send_at_once(int fd) {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

std::string text_of(const in_addr& address) {
  char text[INET_ADDRSTRLEN] = "";
  ::inet_ntop(AF_INET, &address, text, sizeof(text));
  return text;
}

// 0: not now; -1: never again.
std::ptrdiff_t outcome(ssize_t moved, bool receiving) {
  if (moved > 0) return moved;
  if (moved == 0) return receiving ? -1 : 0;
  return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? 0 : -1;
}

}  // namespace

Deadline deadline_in(double seconds) {
  return std::chrono::steady_clock::now() +
         std::chrono::duration_cast<Deadline::duration>(std::chrono::duration<double>(seconds));
}

Socket::~Socket() {
  if (fd_ >= 0) ::close(fd_);
}

Socket& Socket::operator=(Socket&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

std::ptrdiff_t Socket::send_some(const void* data, std::size_t bytes) const {
  return outcome(::send(fd_, data, bytes, MSG_NOSIGNAL), false);
}

std::ptrdiff_t Socket::receive_some(void* data, std::size_t bytes) const {
  return outcome(::recv(fd_, data, bytes, 0), true);
}

bool Socket::send_all(const void* data, std::size_t bytes, Deadline deadline) const {
  const auto* from = static_cast<const char*>(data);
  while (bytes > 0) {
    const std::ptrdiff_t moved = send_some(from, bytes);
    if (moved < 0 || (moved == 0 && !wait_for(fd_, POLLOUT, deadline))) return false;
    from += moved;
    bytes -= static_cast<std::size_t>(moved);
  }
  return true;
}

bool Socket::receive_all(void* data, std::size_t bytes, Deadline deadline) const {
  auto* to = static_cast<char*>(data);
  while (bytes > 0) {
    const std::ptrdiff_t moved = receive_some(to, bytes);
    if (moved < 0 || (moved == 0 && !wait_for(fd_, POLLIN, deadline))) return false;
    to += moved;
    bytes -= static_cast<std::size_t>(moved);
  }
  return true;
}

std::string Socket::peer_address() const {
  sockaddr_in address{};
  socklen_t length = sizeof(address);
  ::getpeername(fd_, reinterpret_cast<sockaddr*>(&address), &length);
  return text_of(address.sin_addr);
}

Socket listen_on(int port) {
  Socket listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = INADDR_ANY;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  const int on = 1;  // or a port is taken for a minute after the last run
  if (listener) ::setsockopt(listener.fd(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  const bool listens =
      listener &&
      ::bind(listener.fd(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0 &&
      ::listen(listener.fd(), SOMAXCONN) == 0;
  SR_CHECK(listens, ErrorKind::peers, "cannot listen on port {}: {}; choose another port", port,
           std::strerror(errno));
  return listener;
}

int port_of(const Socket& listener) {
  sockaddr_in address{};
  socklen_t length = sizeof(address);
  ::getsockname(listener.fd(), reinterpret_cast<sockaddr*>(&address), &length);
  return ntohs(address.sin_port);
}

Socket accept_from(const Socket& listener, Deadline deadline) {
  while (wait_for(listener.fd(), POLLIN, deadline)) {
    Socket peer(::accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    SR_CHECK(
        errno != EMFILE || peer, ErrorKind::peers,
        "too many files are open to accept a connection; raise ulimit -n to 4 a rank and more");
    if (!peer) continue;  // it went away again
    send_at_once(peer.fd());
    return peer;
  }
  return {};
}

Socket connect_to(const std::string& address, int port, Deadline deadline) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<std::uint16_t>(port));
  if (::inet_pton(AF_INET, address.c_str(), &to.sin_addr) != 1) return {};
  Socket socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return {};
  if (::connect(socket.fd(), reinterpret_cast<sockaddr*>(&to), sizeof(to)) != 0) {
    if (errno != EINPROGRESS || !wait_for(socket.fd(), POLLOUT, deadline)) return {};
    int error = 0;
    socklen_t length = sizeof(error);
    ::getsockopt(socket.fd(), SOL_SOCKET, SO_ERROR, &error, &length);
    if (error != 0) return {};
  }
  send_at_once(socket.fd());
  return socket;
}

std::vector<std::string> addresses_of(const std::string& host) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_family = AF_INET;
  hints.ai_socktype = SOCK_STREAM;
  std::vector<std::string> addresses;
  if (::getaddrinfo(host.c_str(), nullptr, &hints, &found) != 0) return addresses;
  for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next)
    addresses.push_back(text_of(reinterpret_cast<const sockaddr_in*>(entry->ai_addr)->sin_addr));
  ::freeaddrinfo(found);
  return addresses;
}

std::vector<std::string> own_addresses() {
  ifaddrs* all = nullptr;
  std::vector<std::string> addresses;
  if (::getifaddrs(&all) != 0) return {"127.0.0.1"};
  for (const ifaddrs* entry = all; entry != nullptr; entry = entry->ifa_next) {
    const bool is_up = entry->ifa_flags & IFF_UP, is_loopback = entry->ifa_flags & IFF_LOOPBACK;
    if (entry->ifa_addr == nullptr || entry->ifa_addr->sa_family != AF_INET || !is_up) continue;
    if (is_loopback) continue;
    addresses.push_back(text_of(reinterpret_cast<const sockaddr_in*>(entry->ifa_addr)->sin_addr));
  }
  ::freeifaddrs(all);
  addresses.emplace_back("127.0.0.1");
  return addresses;
}

}  // namespace seqrank
