// Runs are sorted by eight-byte prefixes, deeper only where they tie, so that keys with long common
// beginnings cost little. A level that reaches the fan-in is merged into one run of the next level
// at once, which bounds open files. Nothing is compressed: disk is cheaper than the time.
#include "data/external_sort.h"

#include <algorithm>
#include <cstring>

#include "backend/check.h"

namespace seqrank {
namespace {

constexpr std::size_t kLeastBuffer = 64 * 1024;           // of one run while merging
constexpr std::size_t kMostRuns = 256;                    // open files of one level
constexpr std::size_t kMostArena = std::size_t{4} << 30;  // offsets are 32 bits

// Eight bytes at `depth`, big-endian, zeros beyond the record's end.
std::uint64_t prefix_at(const char* record, std::size_t size, std::size_t depth) {
  unsigned char bytes[8] = {};
  if (depth < size) std::memcpy(bytes, record + depth, std::min<std::size_t>(8, size - depth));
  std::uint64_t value;
  std::memcpy(&value, bytes, 8);
  return __builtin_bswap64(value);
}

}  // namespace

// Merges sorted runs by a tree of losers: one comparison a level.
class RunMerge {
 public:
  RunMerge(std::vector<std::unique_ptr<TempFile>> runs, std::size_t memory)
      : runs_(std::move(runs)), head_(runs_.size()), live_(runs_.size()) {
    const std::size_t buffer =
        std::max<std::size_t>(4096, memory / std::max<std::size_t>(1, runs_.size()));
    for (const auto& run : runs_) readers_.emplace_back(*run, buffer);
    for (std::size_t i = 0; i < runs_.size(); ++i) live_[i] = readers_[i].next_record(head_[i]);
    loser_.assign(runs_.size(), 0);
    if (!runs_.empty()) winner_ = build(1);
  }

  bool next(std::string_view& record) {
    if (started_) replay();
    started_ = true;
    if (runs_.empty() || !live_[winner_]) return false;
    record = head_[winner_];
    return true;
  }

 private:
  bool before(std::size_t a, std::size_t b) const {
    if (!live_[a] || !live_[b]) return live_[a];
    const int order = head_[a].compare(head_[b]);
    return order < 0 || (order == 0 && a < b);
  }

  // Nodes 1 .. k-1 are matches, k .. 2k-1 the runs. Returns the winner below `node`.
  std::size_t build(std::size_t node) {
    if (node >= runs_.size()) return node - runs_.size();
    const std::size_t left = build(2 * node);
    const std::size_t right = build(2 * node + 1);
    const bool left_wins = before(left, right);
    loser_[node] = left_wins ? right : left;
    return left_wins ? left : right;
  }

  void replay() {
    if (runs_.empty() || !live_[winner_]) return;
    live_[winner_] = readers_[winner_].next_record(head_[winner_]);
    for (std::size_t node = (winner_ + runs_.size()) / 2; node > 0; node /= 2)
      if (before(loser_[node], winner_)) std::swap(loser_[node], winner_);
  }

  std::vector<std::unique_ptr<TempFile>> runs_;
  std::vector<TempReader> readers_;
  std::vector<std::string_view> head_;
  std::vector<char> live_;
  std::vector<std::size_t> loser_;
  std::size_t winner_ = 0;
  bool started_ = false;
};

ExternalSort::ExternalSort(TempFolder& folder, SortMemory memory)
    : folder_(folder),
      memory_(memory),
      arena_bytes_(std::clamp<std::size_t>(memory.runs / 2, 128 * 1024, kMostArena) /
                   sizeof(Entry) * sizeof(Entry)),
      fan_in_(std::clamp<std::size_t>(memory.merge / kLeastBuffer, 2, kMostRuns)) {}

ExternalSort::~ExternalSort() = default;

ExternalSort::Entry* ExternalSort::entries_of(Arena& arena) const {
  return reinterpret_cast<Entry*>(arena.bytes.get() + arena_bytes_) - arena.entries;
}

void ExternalSort::add(std::string_view record) {
  SR_ASSERT(!merge_ && record.size() <= 0xffff, "a record of {} bytes", record.size());
  const std::size_t entries_bytes = (filling_.entries + 1) * sizeof(Entry);
  if (filling_.used + record.size() + entries_bytes > arena_bytes_) start_spill();
  if (!filling_.bytes) filling_.bytes = std::make_unique_for_overwrite<char[]>(arena_bytes_);
  std::memcpy(filling_.bytes.get() + filling_.used, record.data(), record.size());
  ++filling_.entries;
  *entries_of(filling_) = {0, static_cast<std::uint32_t>(filling_.used),
                           static_cast<std::uint32_t>(record.size())};
  filling_.used += record.size();
  ++records_;
}

void ExternalSort::wait() {
  if (spill_.valid()) spill_.get();
}

void ExternalSort::start_spill() {
  wait();
  std::swap(filling_, spilling_);
  spill_ = std::async(std::launch::async, [this] { spill(spilling_); });
}

void ExternalSort::sort_entries(const char* bytes, Entry* first, Entry* last,
                                std::size_t depth) const {
  constexpr std::ptrdiff_t kFew = 12;
  while (last - first > kFew) {
    std::size_t longest = 0;
    for (Entry* e = first; e != last; ++e) {
      e->prefix = prefix_at(bytes + e->offset, e->size, depth);
      longest = std::max<std::size_t>(longest, e->size);
    }
    if (longest <= depth) break;
    const bool all_equal =
        std::all_of(first, last, [&](const Entry& e) { return e.prefix == first->prefix; });
    depth += 8;
    if (all_equal) continue;
    std::sort(first, last, [](const Entry& a, const Entry& b) { return a.prefix < b.prefix; });
    while (first != last) {
      Entry* end = first + 1;
      while (end != last && end->prefix == first->prefix) ++end;
      if (end - first > 1) sort_entries(bytes, first, end, depth);
      first = end;
    }
    return;
  }
  const auto view = [bytes](const Entry& e) { return std::string_view(bytes + e.offset, e.size); };
  std::sort(first, last, [view](const Entry& a, const Entry& b) { return view(a) < view(b); });
}

void ExternalSort::spill(Arena& arena) {
  Entry* const first = entries_of(arena);
  Entry* const last = first + arena.entries;
  sort_entries(arena.bytes.get(), first, last, 0);
  auto run = std::make_unique<TempFile>(folder_);
  for (const Entry* e = first; e != last; ++e)
    run->append_record({arena.bytes.get() + e->offset, e->size});
  run->flush();
  arena.used = arena.entries = 0;
  ++runs_written_;
  if (runs_level_.empty()) runs_level_.emplace_back();
  runs_level_[0].push_back(std::move(run));
  for (std::size_t level = 0; level < runs_level_.size(); ++level)
    if (runs_level_[level].size() == fan_in_) merge_level(level);
}

void ExternalSort::merge_level(std::size_t level) {
  std::vector<Run> runs = std::move(runs_level_[level]);
  runs_level_[level].clear();
  if (level + 1 == runs_level_.size()) runs_level_.emplace_back();
  Run run;
  if (runs.size() == 1) {
    run = std::move(runs[0]);
  } else {
    run = std::make_unique<TempFile>(folder_);
    RunMerge merge(std::move(runs), memory_.merge);
    std::string_view record;
    while (merge.next(record)) run->append_record(record);
    run->flush();
  }
  runs_level_[level + 1].push_back(std::move(run));
}

void ExternalSort::finish() {
  SR_ASSERT(!merge_, "finish() called twice");
  wait();
  spilling_ = {};
  if (filling_.entries > 0) spill(filling_);
  filling_ = {};
  // Small levels first, until what is left can be merged at once.
  std::size_t total = 0;
  for (const auto& runs : runs_level_) total += runs.size();
  for (std::size_t level = 0; total > fan_in_; ++level) {
    if (runs_level_[level].empty()) continue;
    total -= runs_level_[level].size() - 1;
    merge_level(level);
  }
  std::vector<Run> rest;
  for (auto& runs : runs_level_)
    for (auto& run : runs) rest.push_back(std::move(run));
  runs_level_.clear();
  merge_ = std::make_unique<RunMerge>(std::move(rest), memory_.merge);
}

bool ExternalSort::next(std::string_view& record) {
  SR_ASSERT(merge_, "next() before finish()");
  return merge_->next(record);
}

}  // namespace seqrank
