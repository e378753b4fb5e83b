// Looks into /proc, and asks nobody.
#include "launch/peers.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>

#include "launch/ranks.h"

namespace seqrank {
namespace {

// A process that has ended and was not yet waited for is gone, too.
bool is_there(const LocalPeers::Peer& peer) {
  std::ifstream stat(fmt::format("/proc/{}/stat", peer.process));
  std::string line;
  if (!std::getline(stat, line)) return false;
  const std::size_t name_end = line.rfind(") ");
  return name_end != std::string::npos && line[name_end + 2] != 'Z' && line[name_end + 2] != 'X';
}

}  // namespace

LocalPeers::LocalPeers(int rank, std::string host, std::vector<Peer> peers)
    : rank_(rank), host_(std::move(host)), peers_(std::move(peers)) {}

LocalPeers LocalPeers::of(Communicator& comm) {
  const auto local = comm.split_shared();
  const auto texts = local->all_gather_text(fmt::format("{} {}", comm.rank(), ::getpid()));
  std::vector<Peer> peers;
  for (int r = 0; r < local->size(); ++r) {
    Peer peer{};
    std::sscanf(texts[r].c_str(), "%d %d", &peer.rank, &peer.process);
    if (r != local->rank()) peers.push_back(peer);
  }
  if (!std::ranges::all_of(peers, is_there)) peers.clear();
  return {comm.rank(), host_name(), std::move(peers)};
}

std::string LocalPeers::gone() const {
  for (const Peer& peer : peers_)
    if (!is_there(peer))
      return fmt::format("rank {} (process {} on {}) is gone", peer.rank, peer.process, host_);
  return "";
}

bool LocalPeers::first() const {
  return std::ranges::none_of(
      peers_, [this](const Peer& peer) { return peer.rank < rank_ && is_there(peer); });
}

void LocalPeers::hush() const {
  for (const Peer& peer : peers_) ::kill(peer.process, SIGUSR2);
}

}  // namespace seqrank
