// Who is in which group: by numbers, or agreed on through texts where hosts decide. Once, at the
// start.
#include "trainer/table_groups.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>

#include "backend/check.h"

namespace seqrank {
namespace {

// Of a rank: what is the same for all of its group, and its place there.
struct Seat {
  int group, place;
};

// Tables of more are split where nothing else is said. Up to here whole tables are faster, as their
// softmax is over whole rows (item_table.cc); beyond, tiles take as long whichever rank holds the
// rows, and split ones take less memory (`bench loss`, docs/adr/0023).
constexpr std::int64_t kReplicatedBytes = 64 << 20;

std::int64_t divide_up(std::int64_t n, std::int64_t parts) {
  return (n + parts - 1) / parts;
}

Seat seat_on_host(Communicator& world) {
  const auto host = world.split_shared();
  const std::string first = host->broadcast_text(std::to_string(world.rank()), 0);
  return {std::stoi(first), host->rank()};
}

// By rank.
std::vector<Seat> seats(Communicator& world, const std::string& how) {
  std::vector<Seat> seats;
  if (how == "node") {
    const Seat own = seat_on_host(world);
    for (const std::string& text :
         world.all_gather_text(fmt::format("{} {}", own.group, own.place)))
      seats.push_back({std::stoi(text), std::stoi(text.substr(text.find(' ')))});
    return seats;
  }
  int size = world.size();
  if (how != "all") {
    const auto [end, error] = std::from_chars(how.data(), how.data() + how.size(), size);
    SR_CHECK(error == std::errc() && end == how.data() + how.size() && size >= 1, ErrorKind::usage,
             "--table.group={}: give node, all, or a number of ranks", how);
  }
  for (int rank = 0; rank < world.size(); ++rank) seats.push_back({rank / size, rank % size});
  return seats;
}

}  // namespace

TableGroups::TableGroups(const Communicators& ranks, const std::string& how) {
  const std::vector<Seat> all = seats(ranks.host, how);
  const Seat own = all[ranks.rank()];
  std::map<int, std::vector<int>> members;  // by group, in order of their places
  for (int rank = 0; rank < ranks.size(); ++rank) {
    auto& group = members[all[rank].group];
    const auto place = static_cast<std::size_t>(all[rank].place);
    group.resize(std::max(group.size(), place + 1));
    group[place] = rank;
  }
  const std::size_t size = members.begin()->second.size();
  for (const auto& [first, group] : members) {
    SR_CHECK(group.size() == size, ErrorKind::usage,
             "--table.group={}: {} ranks make groups of {} and of {}; all must be equal: give a "
             "number that divides {}, or all",
             how, ranks.size(), size, group.size(), ranks.size());
  }
  if (size == 1) return;
  size_ = static_cast<int>(size);
  place_ = own.place;
  for (const auto& [first, group] : members) {
    if (first == own.group) group_ = static_cast<int>(rank_at_.size() / size);
    rank_at_.insert(rank_at_.end(), group.begin(), group.end());
  }
  within_ = ranks.device.split(group_, place_, size_);
  across_ = ranks.device.split(place_, group_, ranks.size() / size_);
}

TableGroups table_groups(const Options& options, const Communicators& ranks,
                         const ParameterStore& parameters) {
  std::int64_t bytes = 0;
  for (const Parameter& p : parameters.parameters()) {
    if (!p.may_split) continue;
    bytes += p.shape.numel() * static_cast<std::int64_t>(dtype_size(p.dtype));
  }
  const std::string& how = options.text("table.split");
  SR_CHECK(how != "yes" || bytes > 0, ErrorKind::usage,
           "--table.split=yes: this model has no table of items that can be split");
  if (how == "no" || bytes == 0) return {};
  if (how == "auto" && bytes <= kReplicatedBytes) return {};
  return TableGroups(ranks, options.text("table.group"));
}

RowOwners::RowOwners(const TableGroups& groups, std::int64_t rows, int rank, int world)
    : groups_(groups),
      rows_(rows),
      rows_a_rank_(divide_up(divide_up(rows, groups.size()), world / groups.size())) {
  const std::int64_t here = groups.split().rows_here(rows);
  const std::int64_t begin = groups.group(rank) * rows_a_rank_;
  own_ = {std::min(begin, here), std::min(begin + rows_a_rank_, here)};
}

}  // namespace seqrank
