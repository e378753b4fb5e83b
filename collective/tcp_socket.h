// A TCP connection as the ranks use it: IPv4, without delay, with a time for everything. Knows no
// ranks.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace seqrank {

using Deadline = std::chrono::steady_clock::time_point;
Deadline deadline_in(double seconds);

class Socket {
 public:
  Socket() = default;
  explicit Socket(int fd) : fd_(fd) {}
  ~Socket();
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&& other) noexcept;
  int fd() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

  // Exactly so many bytes; false: the peer has gone, or the time is over.
  bool send_all(const void* data, std::size_t bytes, Deadline deadline) const;
  bool receive_all(void* data, std::size_t bytes, Deadline deadline) const;
  // As many as go at once, without waiting; -1: the peer has gone.
  std::ptrdiff_t send_some(const void* data, std::size_t bytes) const;
  std::ptrdiff_t receive_some(void* data, std::size_t bytes) const;

  std::string peer_address() const;  // "10.0.0.7"

 private:
  int fd_ = -1;
};

// On every interface of this host; port 0: one that is free. Throws Error(peers).
Socket listen_on(int port);
int port_of(const Socket& listener);
Socket accept_from(const Socket& listener, Deadline deadline);  // absent: the time is over

// Absent where nobody listens there (yet), or the time is over.
Socket connect_to(const std::string& address, int port, Deadline deadline);

// The IPv4 addresses of a host's name; empty: the name is not known.
std::vector<std::string> addresses_of(const std::string& host);
// Of this host's interfaces, the loopback last.
std::vector<std::string> own_addresses();

}  // namespace seqrank
