// Per user: the count (i64), the items (u32 each), the times (i64 each), the words (u32 each); keys
// in a file of their own, so that they can be read alone.
#include "data/user_events.h"

#include <algorithm>
#include <cstring>

#include "backend/check.h"

namespace seqrank {
namespace {

constexpr std::size_t kBuffer = 256 * 1024;

template <typename T>
void take_array(TempReader& reader, std::vector<T>& out, std::size_t count) {
  out.resize(count);
  constexpr std::size_t kPiece = kBuffer / 2 / sizeof(T);
  for (std::size_t i = 0; i < count; i += kPiece) {
    const std::string_view bytes = reader.take(std::min(kPiece, count - i) * sizeof(T));
    std::memcpy(out.data() + i, bytes.data(), bytes.size());
  }
}

}  // namespace

void UserEvents::add(std::string_view key, std::span<const std::uint32_t> items,
                     std::span<const std::int64_t> times, std::span<const std::uint32_t> words) {
  SR_ASSERT(times.size() == (times_ == Times::kept ? items.size() : 0), "{} times of {} events",
            times.size(), items.size());
  SR_ASSERT(words.size() == words_ * items.size(), "{} words of {} events", words.size(),
            items.size());
  keys_.append_record(key);
  const auto count = static_cast<std::int64_t>(items.size());
  events_.append(&count, sizeof(count));
  events_.append(items.data(), items.size_bytes());
  events_.append(times.data(), times.size_bytes());
  events_.append(words.data(), words.size_bytes());
  ++users_;
  total_ += count;
}

void UserEvents::flush() {
  keys_.flush();
  events_.flush();
}

UserEventsReader::UserEventsReader(const UserEvents& store)
    : store_(store), keys_(store.keys_, kBuffer), events_(store.events_, kBuffer) {}

bool UserEventsReader::next() {
  if (!keys_.next_record(key_)) return false;
  std::int64_t count;
  std::memcpy(&count, events_.take(sizeof(count)).data(), sizeof(count));
  const auto size = static_cast<std::size_t>(count);
  take_array(events_, items_, size);
  take_array(events_, times_, store_.times_ == UserEvents::Times::kept ? size : 0);
  take_array(events_, words_, size * store_.words_);
  return true;
}

}  // namespace seqrank
