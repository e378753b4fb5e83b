// See people.h. The keys are read once, from the file's beginning to its end.
#include "trainer/people.h"

#include <string_view>
#include <unordered_map>

#include "backend/check.h"

namespace seqrank {
namespace {

std::int64_t last_time(const Dataset& dataset, std::int64_t sequence) {
  std::int64_t time = 0;
  dataset.read_times(dataset.begin(sequence) + dataset.length(sequence) - 1, std::span(&time, 1));
  return time;
}

// Of two sequences of a person, `other` behind `one` in the file.
std::int64_t later(const Dataset& dataset, std::int64_t one, std::int64_t other) {
  if (dataset.length(other) == 0) return one;
  if (dataset.length(one) == 0 || !dataset.has_times()) return other;
  return last_time(dataset, other) < last_time(dataset, one) ? one : other;
}

}  // namespace

std::vector<Person> people_of(const Dataset& dataset, std::span<const std::string> keys) {
  std::unordered_map<std::string, std::int64_t> latest;
  for (const std::string& key : keys) latest.emplace(key, -1);
  std::int64_t sequence = 0;
  std::string key;
  dataset.for_each_user_key([&](std::string_view text) {
    key = text;
    if (const auto asked = latest.find(key); asked != latest.end())
      asked->second = asked->second < 0 ? sequence : later(dataset, asked->second, sequence);
    ++sequence;
  });
  std::vector<Person> people;
  for (const std::string& asked : keys) {
    people.push_back({asked, latest.at(asked)});
    SR_CHECK(people.back().sequence >= 0, ErrorKind::usage,
             "--users: {} has no user {}; `seqrank inspect {}` shows what is in it", dataset.path(),
             asked, dataset.path());
  }
  return people;
}

std::vector<Person> everyone(const Dataset& dataset) {
  std::vector<Person> people;
  std::unordered_map<std::string, std::size_t> place;
  std::int64_t sequence = 0;
  dataset.for_each_user_key([&](std::string_view text) {
    const auto [found, is_new] = place.try_emplace(std::string(text), people.size());
    if (is_new) {
      people.push_back({found->first, sequence});
    } else {
      Person& person = people[found->second];
      person.sequence = later(dataset, person.sequence, sequence);
    }
    ++sequence;
  });
  return people;
}

}  // namespace seqrank
