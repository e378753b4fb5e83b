// Waits in poll(), which costs no processor time, for whichever message can move.
#include "collective/tcp_mesh.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>

namespace seqrank {
namespace {

// How long a rank whose peer went may go on: its next call says so. One that makes none, because it
// waits for a device that waits for the peer, is ended by its watcher.
constexpr double kGraceSeconds = 10;
constexpr double kGraceSecondsARank = .05;  // so that one speaks for all
constexpr double kLeaveSeconds = 5;
// In which the note of a peer that ended is read, where its connection was seen to break first: the
// watcher then ends this process with the peer's own code.
constexpr double kNoteSeconds = 1;
enum NoteKind : std::int32_t { kLeave = 1, kFail = 2 };

struct Note {
  std::int32_t kind;
  std::int32_t exit_code;
};

}  // namespace

TcpMesh::TcpMesh(TcpPeers peers, int rank, double patience)
    : peers_(std::move(peers)), rank_(rank), patience_(patience) {
  if (size() == 1) return;
  wake_ = Socket(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  watcher_ = std::thread([this] { watch(); });
}

TcpMesh::~TcpMesh() {
  if (!watcher_.joinable()) return;
  dropped_ = true;
  wake();
  watcher_.join();
}

void TcpMesh::wake() const {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(wake_.fd(), &one, sizeof(one));
}

void TcpMesh::exchange(const Call& call, std::uint64_t group, const std::vector<Part>& sends,
                       const std::vector<Part>& receives) {
  SR_CHECK(!broken_, ErrorKind::peers, "{}: an earlier call of this rank failed", call.str());
  broken_ =
      true;  // until all is through: what lies in the connections after an error means nothing
  group_ = group;
  sending_.clear();
  coming_.clear();
  for (const Part& part : sends) sending_.push_back({part, {group, call, part.bytes}, 0});
  for (const Part& part : receives) coming_.push_back({part, {}, 0});
  auto since = Deadline::clock::now();
  while (!sending_.empty() || !coming_.empty()) {
    bool moved = false;
    for (Moving& message : sending_) moved |= send(call, message);
    for (Moving& message : coming_) moved |= receive(call, message);
    const auto through = [](const Moving& message) {
      return message.done == static_cast<std::int64_t>(sizeof(Frame)) + message.part.bytes;
    };
    std::erase_if(sending_, through);
    std::erase_if(coming_, through);
    if (moved) {
      since = Deadline::clock::now();
    } else {
      wait(call, since);
    }
  }
  broken_ = false;
}

bool TcpMesh::send(const Call& call, Moving& message) {
  const Socket& socket = peers_.data[message.part.peer];
  const auto frame_bytes = static_cast<std::int64_t>(sizeof(Frame));
  const std::int64_t before = message.done;
  while (message.done < frame_bytes + message.part.bytes) {
    const bool in_frame = message.done < frame_bytes;
    const std::byte* from = in_frame
                                ? reinterpret_cast<const std::byte*>(&message.frame) + message.done
                                : message.part.data + (message.done - frame_bytes);
    const std::int64_t left =
        (in_frame ? frame_bytes : frame_bytes + message.part.bytes) - message.done;
    const std::ptrdiff_t n = socket.send_some(from, static_cast<std::size_t>(left));
    if (n < 0) gone(call, message.part.peer);
    if (n == 0) break;
    message.done += n;
  }
  return message.done != before;
}

bool TcpMesh::receive(const Call& call, Moving& message) {
  const Socket& socket = peers_.data[message.part.peer];
  const auto frame_bytes = static_cast<std::int64_t>(sizeof(Frame));
  const std::int64_t before = message.done;
  while (message.done < frame_bytes + message.part.bytes) {
    const bool in_frame = message.done < frame_bytes;
    std::byte* to = in_frame ? reinterpret_cast<std::byte*>(&message.frame) + message.done
                             : message.part.data + (message.done - frame_bytes);
    const std::int64_t left =
        (in_frame ? frame_bytes : frame_bytes + message.part.bytes) - message.done;
    const std::ptrdiff_t n = socket.receive_some(to, static_cast<std::size_t>(left));
    if (n < 0) gone(call, message.part.peer);
    if (n == 0) break;
    message.done += n;
    if (message.done == frame_bytes) check_frame(call, group_, message);
  }
  return message.done != before;
}

void TcpMesh::check_frame(const Call& call, std::uint64_t group, const Moving& message) const {
  const Frame& frame = message.frame;
  const int peer = message.part.peer;
  SR_CHECK(frame.group == group && frame.call == call, ErrorKind::peers,
           "the ranks call different collectives: rank {} {}, rank {} {}{}; every rank must make "
           "the same calls in the same order",
           rank_, call.str(), peer, frame.call.str(),
           frame.group == group ? "" : " of another communicator");
  const auto width = static_cast<std::int64_t>(dtype_size(call.dtype));
  SR_CHECK(frame.bytes == message.part.bytes, ErrorKind::peers,
           "{}: rank {} sends {} elements to rank {}, which expects {}", call.str(), peer,
           frame.bytes / width, rank_, message.part.bytes / width);
}

void TcpMesh::wait(const Call& call, Deadline::clock::time_point since) {
  std::vector<pollfd> entries;
  for (const Moving& message : sending_)
    entries.push_back({peers_.data[message.part.peer].fd(), POLLOUT, 0});
  for (const Moving& message : coming_)
    entries.push_back({peers_.data[message.part.peer].fd(), POLLIN, 0});
  const double waited = std::chrono::duration<double>(Deadline::clock::now() - since).count();
  if (patience_ > 0 && waited >= patience_) {
    std::string silent;  // who sends nothing, or else who takes nothing
    for (const Moving& message : coming_.empty() ? sending_ : coming_)
      silent += (silent.empty() ? "" : ", ") + name_of(message.part.peer);
    throw Error(ErrorKind::peers,
                fmt::format("{}: {:.0f} s without progress: no word from {}; look at that process, "
                            "its host and the network",
                            call.str(), waited, silent));
  }
  const double left = patience_ > 0 ? patience_ - waited : 1;
  ::poll(entries.data(), entries.size(), std::clamp(static_cast<int>(left * 1000) + 1, 1, 1000));
}

void TcpMesh::gone(const Call& call, int peer) const {
  std::this_thread::sleep_for(std::chrono::duration<double>(kNoteSeconds));
  throw Error(ErrorKind::peers, fmt::format("{}: {} is gone; look for its last line, and at its "
                                            "host",
                                            call.str(), name_of(peer)));
}

std::string TcpMesh::name_of(int rank) const {
  return fmt::format("rank {} ({})", rank, peers_.hosts[rank]);
}

void TcpMesh::tell(int kind, int exit_code) const {
  const Note note{kind, exit_code};
  for (const Socket& socket : peers_.notes)
    if (socket) socket.send_all(&note, sizeof(note), Deadline::clock::now());
}

void TcpMesh::close() {
  if (!watcher_.joinable()) return;
  tell(kLeave, 0);
  closing_ = true;
  wake();
  // Sockets that are closed with something unread take with them what the peer has not read yet.
  watcher_.join();
}

void TcpMesh::cut() {
  tell(kLeave, 0);
  for (const Socket& socket : peers_.data)
    if (socket) ::shutdown(socket.fd(), SHUT_RDWR);
}

void TcpMesh::end_world(int exit_code) {
  std::fflush(nullptr);
  tell(kFail, exit_code);
  std::_Exit(exit_code);  // other threads may still run: no destructors under their feet
}

// Reads notes until all have taken leave, this rank too.
void TcpMesh::watch() {
  std::vector<int> there;
  for (int r = 0; r < size(); ++r)
    if (r != rank_) there.push_back(r);
  int lost = -1;
  Deadline end = Deadline::max();  // of the leave, or of the grace
  while (!dropped_ && !(closing_ && (there.empty() || Deadline::clock::now() > end))) {
    if (!closing_ && Deadline::clock::now() > end) {
      std::fputs(fmt::format("seqrank: rank {}: {} is gone\n", rank_, name_of(lost)).c_str(),
                 stderr);
      end_world(static_cast<int>(ErrorKind::peers));
    }
    const std::vector<int> silent = read_notes(there);
    if (lost < 0 && !silent.empty()) {
      lost = silent.front();
      end = deadline_in(kGraceSeconds + rank_ * kGraceSecondsARank);
    }
    if (closing_) end = std::min(end, deadline_in(kLeaveSeconds));
  }
}

// Waits a little for notes of those in `there`, takes out who leaves, and returns who went without
// a word.
std::vector<int> TcpMesh::read_notes(std::vector<int>& there) const {
  std::vector<pollfd> entries = {{wake_.fd(), POLLIN, 0}};
  for (int r : there) entries.push_back({peers_.notes[r].fd(), POLLIN, 0});
  ::poll(entries.data(), entries.size(), 200);
  std::uint64_t ignored = 0;
  if (entries[0].revents != 0) [[maybe_unused]]
    const auto n = ::read(wake_.fd(), &ignored, sizeof(ignored));
  std::vector<int> left, silent;
  for (std::size_t i = 0; i < there.size(); ++i) {
    const int r = there[i];
    Note note{};
    if (entries[i + 1].revents == 0) {
      left.push_back(r);
    } else if (!peers_.notes[r].receive_all(&note, sizeof(note), deadline_in(1))) {
      silent.push_back(r);
    } else if (note.kind == kFail) {
      std::fflush(nullptr);
      std::_Exit(note.exit_code);  // the one that failed has said why
    }
  }
  there = std::move(left);
  return silent;
}

}  // namespace seqrank
