// Every rank tells rank 0 where it listens; rank 0 tells all of all; then the higher rank of each
// pair connects to the lower. Strangers who connect are sent away without harm.
#include "collective/tcp_meeting.h"

#include <fmt/format.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <optional>
#include <thread>

#include "backend/check.h"
#include "collective/tcp_notice.h"

namespace seqrank {
namespace {

constexpr char kHelloMagic[8] = {'s', 'r', 'h', 'e', 'l', 'l', 'o', '1'};
constexpr char kReplyMagic[8] = {'s', 'r', 'r', 'e', 'p', 'l', 'y', '1'};
constexpr double kStrangerSeconds = 2;  // to say hello
constexpr auto kPause = std::chrono::milliseconds(100);
constexpr int kChannels = 2;

struct Hello {
  char magic[8];
  std::uint64_t token;  // of this meeting; 0: not known yet
  std::int32_t rank, size;
  std::int32_t port;     // where this rank listens
  std::int32_t channel;  // of a pair: 0 data, 1 notes
  char host[64];
  char boot[48];  // of the machine: two of them may go by one name
};

struct Reply {
  char magic[8];
  std::uint64_t token;
  char refusal[256];  // why there will be no world, or nothing
};

struct Place {
  char address[16];  // empty: rank 0's host, at the address by which rank 0 is reached
  std::int32_t port;
  std::int32_t node;
  char host[64];
};

template <std::size_t n>
void copy_text(char (&to)[n], const std::string& text) {
  const std::size_t length = std::min(text.size(), n - 1);
  std::memcpy(to, text.data(), length);
  to[length] = 0;
}

std::uint64_t random_token() {
  std::uint64_t token = 0;
  while (token == 0) {
    if (::getrandom(&token, sizeof(token), 0) != sizeof(token)) token = 0;
  }
  return token;
}

Hello hello_of(const TcpMeeting& meeting, int port) {
  Hello hello{};
  std::memcpy(hello.magic, kHelloMagic, sizeof(hello.magic));
  hello.rank = meeting.rank;
  hello.size = meeting.size;
  hello.port = port;
  ::gethostname(hello.host, sizeof(hello.host) - 1);
  std::string boot;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> boot;
  copy_text(hello.boot, boot);
  return hello;
}

// Rank 0's part.
class Host {
 public:
  Host(const TcpMeeting& meeting, const Socket& listener, std::uint64_t token)
      : meeting_(meeting),
        listener_(listener),
        token_(token),
        sockets_(meeting.size),
        hellos_(meeting.size) {
    hellos_[0] = hello_of(meeting, 0);
  }

  std::vector<Place> gather(Deadline deadline) {
    for (int missing = meeting_.size - 1; missing > 0;) {
      Socket peer = accept_from(listener_, deadline);
      if (!peer) refuse(nobody_came());
      Hello hello{};
      if (!peer.receive_all(&hello, sizeof(hello), deadline_in(kStrangerSeconds))) continue;
      if (std::memcmp(hello.magic, kHelloMagic, sizeof(hello.magic)) != 0) continue;
      if (!meeting_.file.empty() && hello.token != token_) continue;
      if (const std::string fault = fault_of(hello); !fault.empty()) {
        sockets_[0] = std::move(peer);  // to be told, too
        refuse(fault);
      }
      sockets_[hello.rank] = std::move(peer);
      hellos_[hello.rank] = hello;
      --missing;
    }
    std::vector<Place> places;
    for (int r = 0; r < meeting_.size; ++r) places.push_back(place_of(r));
    tell("", &places);
    return places;
  }

 private:
  std::string fault_of(const Hello& hello) const {
    if (hello.size != meeting_.size)
      return fmt::format("rank 0 was told of {} ranks, rank {} of {}; WORLD_SIZE must be the same",
                         meeting_.size, hello.rank, hello.size);
    if (hello.rank < 1 || hello.rank >= meeting_.size || sockets_[hello.rank])
      return fmt::format("there are two of rank {}, the second on {}; give each process its RANK",
                         hello.rank, hello.host);
    return "";
  }

  std::string nobody_came() const {
    std::string missing;
    for (int r = 1; r < meeting_.size; ++r)
      if (!sockets_[r]) missing += fmt::format("{}{}", missing.empty() ? "" : ", ", r);
    return fmt::format(
        "{:.0f} s and no word from rank {} of {}; is every rank started, and does "
        "it reach the host of rank 0?",
        meeting_.seconds, missing, meeting_.size);
  }

  Place place_of(int rank) const {
    Place place{};
    const std::string address = rank == 0 ? "" : sockets_[rank].peer_address();
    if (!address.starts_with("127.")) copy_text(place.address, address);
    place.port = hellos_[rank].port;
    std::memcpy(place.host, hellos_[rank].host, sizeof(place.host));
    for (place.node = 0; place.node < rank; ++place.node) {
      const Hello& other = hellos_[place.node];
      if (std::strcmp(other.host, hellos_[rank].host) == 0 &&
          std::strcmp(other.boot, hellos_[rank].boot) == 0)
        break;
    }
    return place;
  }

  void tell(const std::string& refusal, const std::vector<Place>* places) const {
    Reply reply{};
    std::memcpy(reply.magic, kReplyMagic, sizeof(reply.magic));
    reply.token = token_;
    copy_text(reply.refusal, refusal);
    for (const Socket& socket : sockets_) {
      if (!socket) continue;
      socket.send_all(&reply, sizeof(reply), deadline_in(kStrangerSeconds));
      if (places != nullptr)
        socket.send_all(places->data(), places->size() * sizeof(Place),
                        deadline_in(kStrangerSeconds));
    }
  }

  [[noreturn]] void refuse(const std::string& why) const {
    tell(why, nullptr);
    throw Error(ErrorKind::peers, why);
  }

  const TcpMeeting& meeting_;
  const Socket& listener_;
  std::uint64_t token_;
  std::vector<Socket> sockets_;  // by rank
  std::vector<Hello> hellos_;
};

struct Joined {
  std::uint64_t token = 0;
  std::string address;  // of rank 0, as it was reached
  int port = 0;
  std::vector<Place> places;
};

// One try, by one address. Rank 0, once it is there, keeps its own time.
std::optional<Joined> join_at(const TcpMeeting& meeting, const std::string& address, int port,
                              Hello hello, Deadline deadline) {
  const Socket host = connect_to(address, port, std::min(deadline, deadline_in(5)));
  deadline = deadline_in(meeting.seconds + kStrangerSeconds);
  Reply reply{};
  if (!host || !host.send_all(&hello, sizeof(hello), deadline) ||
      !host.receive_all(&reply, sizeof(reply), deadline) ||
      std::memcmp(reply.magic, kReplyMagic, sizeof(reply.magic)) != 0)
    return std::nullopt;
  reply.refusal[sizeof(reply.refusal) - 1] = 0;
  SR_CHECK(reply.refusal[0] == 0, ErrorKind::peers, "{}", reply.refusal);
  Joined joined{reply.token, address, port, std::vector<Place>(meeting.size)};
  if (!host.receive_all(joined.places.data(), joined.places.size() * sizeof(Place), deadline))
    return std::nullopt;
  return joined;
}

// The others' part: until rank 0 is there.
Joined join(const TcpMeeting& meeting, Hello hello, Deadline deadline) {
  while (std::chrono::steady_clock::now() < deadline) {
    TcpNotice notice{0, meeting.port, {}};
    if (meeting.file.empty()) {
      notice.addresses = addresses_of(meeting.host);
    } else {
      notice = read_notice(meeting.file).value_or(TcpNotice());
    }
    hello.token = notice.token;
    for (const std::string& address : notice.addresses) {
      if (std::chrono::steady_clock::now() >= deadline) break;
      auto joined = join_at(meeting, address, notice.port, hello, deadline);
      if (joined) return *joined;
    }
    std::this_thread::sleep_for(kPause);
  }
  const std::string where = meeting.file.empty()
                                ? fmt::format("at {}:{}", meeting.host, meeting.port)
                                : fmt::format("by {}", meeting.file);
  throw Error(ErrorKind::peers,
              fmt::format("{:.0f} s and no answer from rank 0 {}; is it started, and is that its "
                          "place?",
                          meeting.seconds, where));
}

void connect_pairs(const TcpMeeting& meeting, const Joined& joined, const Socket& listener,
                   Hello hello, TcpPeers& peers, Deadline deadline) {
  std::vector<Socket>* channels[kChannels] = {&peers.data, &peers.notes};
  hello.token = joined.token;
  for (int r = 0; r < meeting.rank; ++r) {
    const Place& place = joined.places[r];
    const std::string address = place.address[0] == 0 ? joined.address : place.address;
    for (hello.channel = 0; hello.channel < kChannels; ++hello.channel) {
      Socket lower = connect_to(address, r == 0 ? joined.port : place.port, deadline);
      SR_CHECK(lower && lower.send_all(&hello, sizeof(hello), deadline), ErrorKind::peers,
               "cannot reach rank {} on {} ({}); look at the network and its firewalls", r,
               place.host, address);
      (*channels[hello.channel])[r] = std::move(lower);
    }
  }
  for (int missing = kChannels * (meeting.size - 1 - meeting.rank); missing > 0;) {
    Socket higher = accept_from(listener, deadline);
    SR_CHECK(higher, ErrorKind::peers,
             "{:.0f} s and {} connections of higher ranks have not come; look at the network and "
             "its firewalls",
             meeting.seconds, missing);
    Hello theirs{};
    if (!higher.receive_all(&theirs, sizeof(theirs), deadline_in(kStrangerSeconds))) continue;
    const bool expected = theirs.token == joined.token && theirs.rank > meeting.rank &&
                          theirs.rank < meeting.size && theirs.channel >= 0 &&
                          theirs.channel < kChannels;
    if (!expected || (*channels[theirs.channel])[theirs.rank]) continue;
    (*channels[theirs.channel])[theirs.rank] = std::move(higher);
    --missing;
  }
}

}  // namespace

TcpPeers meet(const TcpMeeting& meeting) {
  const Deadline deadline = deadline_in(meeting.seconds);
  const bool leads = meeting.rank == 0;
  const Socket listener = listen_on(leads ? meeting.port : 0);
  const Hello hello = hello_of(meeting, port_of(listener));
  Joined joined;
  if (leads) {
    joined.token = random_token();
    if (!meeting.file.empty())
      write_notice(meeting.file, {joined.token, port_of(listener), own_addresses()});
    joined.places = Host(meeting, listener, joined.token).gather(deadline);
    if (!meeting.file.empty()) std::remove(meeting.file.c_str());
  } else {
    joined = join(meeting, hello, deadline);
  }
  TcpPeers peers;
  peers.data.resize(meeting.size);
  peers.notes.resize(meeting.size);
  for (const Place& place : joined.places) {
    peers.hosts.emplace_back(place.host);
    peers.nodes.push_back(place.node);
  }
  connect_pairs(meeting, joined, listener, hello, peers, deadline);
  return peers;
}

}  // namespace seqrank
