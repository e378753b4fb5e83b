// Strict reading of option values: the whole text must be one value of the declared kind and lie in
// the declared range, or it is refused with key, value, what is allowed, and where it was written.
// Deliberately knows no file format and no command line; launch/ brings the text here.
#include "models/options.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>

#include <fmt/format.h>

#include "backend/check.h"

namespace seqrank {
namespace {

std::vector<std::string> split_choices(const std::string& allowed) {
  std::vector<std::string> choices;
  for (std::size_t begin = 0; begin <= allowed.size();) {
    const std::size_t end = std::min(allowed.find('|', begin), allowed.size());
    choices.push_back(allowed.substr(begin, end - begin));
    begin = end + 1;
  }
  return choices;
}

// The whole of `text` as one number; nothing for a rest, no digits, overflow, infinity and NaN.
template <typename T>
std::optional<T> parse_number(const std::string& text) {
  T value{};
  const char* end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stopped != end) return std::nullopt;
  if constexpr (std::is_floating_point_v<T>) {
    if (!std::isfinite(value)) return std::nullopt;
  }
  return value;
}

// "1..", "..5", "0..0.99"; "" allows every finite value.
template <typename T>
bool in_range(T value, const std::string& allowed) {
  if (allowed.empty()) return true;
  const std::size_t dots = allowed.find("..");
  SR_ASSERT(dots != std::string::npos, "range '{}' has no '..'", allowed);
  const std::string low = allowed.substr(0, dots);
  const std::string high = allowed.substr(dots + 2);
  const std::optional<T> least = parse_number<T>(low);
  const std::optional<T> most = parse_number<T>(high);
  SR_ASSERT((low.empty() || least) && (high.empty() || most), "range '{}' is not of numbers",
            allowed);
  return (!least || value >= *least) && (!most || value <= *most);
}

std::string range_words(const std::string& allowed) {
  const std::size_t dots = allowed.find("..");
  if (dots == std::string::npos) return "";
  const std::string low = allowed.substr(0, dots);
  const std::string high = allowed.substr(dots + 2);
  if (low.empty()) return fmt::format(", at most {}", high);
  if (high.empty()) return fmt::format(", at least {}", low);
  return fmt::format(", from {} to {}", low, high);
}

// What a value of this option has to be, to end "it must be ...".
std::string expectation(const OptionSpec& spec) {
  switch (spec.kind) {
    case OptionKind::integer:
      return "a whole number" + range_words(spec.allowed);
    case OptionKind::real:
      return "a number" + range_words(spec.allowed);
    case OptionKind::flag:
      return "yes or no";
    case OptionKind::choice:
      return fmt::format("one of {}", fmt::join(split_choices(spec.allowed), ", "));
    case OptionKind::text:
      return "some text";
  }
  SR_ASSERT(false, "{}: no such kind of option", spec.key);
}

bool acceptable(const OptionSpec& spec, const std::string& value) {
  if (value.empty()) return false;
  switch (spec.kind) {
    case OptionKind::integer: {
      const auto number = parse_number<std::int64_t>(value);
      return number && in_range(*number, spec.allowed);
    }
    case OptionKind::real: {
      const auto number = parse_number<double>(value);
      return number && in_range(*number, spec.allowed);
    }
    case OptionKind::flag:
      return value == "yes" || value == "no";
    case OptionKind::choice: {
      const auto choices = split_choices(spec.allowed);
      return std::find(choices.begin(), choices.end(), value) != choices.end();
    }
    case OptionKind::text:
      return value.find('\n') == std::string::npos;
  }
  return false;
}

// Levenshtein: insertions, deletions and replacements of one character.
std::size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

std::string after_last_dot(const std::string& name) {
  const std::size_t dot = name.rfind('.');
  return dot == std::string::npos ? name : name.substr(dot + 1);
}

}  // namespace

std::string nearest_name(const std::string& name, const std::vector<std::string>& candidates) {
  std::string best;
  std::size_t best_distance = std::numeric_limits<std::size_t>::max();
  for (const std::string& candidate : candidates) {
    // A match after the dot counts one more, so that a match of the whole name goes first.
    const std::size_t whole = edit_distance(name, candidate);
    const std::size_t last = 1 + edit_distance(after_last_dot(name), after_last_dot(candidate));
    const std::size_t distance = std::min(whole, last);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  const std::size_t limit = 1 + after_last_dot(name).size() / 3;
  return best_distance <= limit ? best : "";
}

Options::Options(const std::vector<OptionSpec>& specs) {
  declare(specs);
}

void Options::declare(const std::vector<OptionSpec>& specs) {
  for (const OptionSpec& added : specs) {
    SR_ASSERT(!values_.contains(added.key), "option {} is declared twice", added.key);
    SR_ASSERT(added.default_value.empty() || acceptable(added, added.default_value),
              "option {}: default '{}' must be {}", added.key, added.default_value,
              expectation(added));
    specs_.push_back(added);
    values_.emplace(added.key, added.default_value);
  }
}

void Options::set(const std::string& key, const std::string& value, const std::string& where) {
  if (!values_.contains(key)) {
    std::vector<std::string> known;
    for (const OptionSpec& spec : specs_) known.push_back(spec.key);
    const std::string nearest = nearest_name(key, known);
    SR_CHECK(!nearest.empty(), ErrorKind::usage, "{}: unknown option '{}'; --help lists them all",
             where, key);
    SR_CHECK(false, ErrorKind::usage, "{}: unknown option '{}'; did you mean '{}'?", where, key,
             nearest);
  }
  const OptionSpec& declared = spec(key);
  SR_CHECK(acceptable(declared, value), ErrorKind::usage, "{}: {} = '{}': it must be {}", where,
           key, value, expectation(declared));
  values_[key] = value;
}

const OptionSpec& Options::spec(const std::string& key) const {
  const auto found = std::find_if(specs_.begin(), specs_.end(),
                                  [&](const OptionSpec& spec) { return spec.key == key; });
  SR_ASSERT(found != specs_.end(), "option {} was never declared", key);
  return *found;
}

bool Options::has(const std::string& key) const {
  const auto found = values_.find(key);
  return found != values_.end() && !found->second.empty();
}

std::int64_t Options::integer(const std::string& key) const {
  const OptionSpec& declared = spec(key);
  SR_ASSERT(declared.kind == OptionKind::integer, "option {} is read as another kind", key);
  SR_CHECK(has(key), ErrorKind::usage, "option '{}' needs a value: {}", key, declared.help);
  return *parse_number<std::int64_t>(values_.at(key));
}

double Options::real(const std::string& key) const {
  const OptionSpec& declared = spec(key);
  SR_ASSERT(declared.kind == OptionKind::real, "option {} is read as another kind", key);
  SR_CHECK(has(key), ErrorKind::usage, "option '{}' needs a value: {}", key, declared.help);
  return *parse_number<double>(values_.at(key));
}

bool Options::flag(const std::string& key) const {
  SR_ASSERT(spec(key).kind == OptionKind::flag, "option {} is read as another kind", key);
  return values_.at(key) == "yes";
}

// Any kind can be read as the text it is, for printing and for saving with a run.
const std::string& Options::text(const std::string& key) const {
  spec(key);
  return values_.at(key);
}

}  // namespace seqrank
