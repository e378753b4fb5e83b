// Patterns are the shell's, as fnmatch(3) has them: names of parameters have dots, no slashes.
#include "trainer/parameter_rules.h"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "backend/check.h"

namespace seqrank {
namespace {

constexpr std::size_t kShown = 12;  // names in an error

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t comma = std::min(text.find(',', begin), text.size());
    parts.push_back(text.substr(begin, comma - begin));
    begin = comma + 1;
  }
  return parts;
}

[[noreturn]] void refuse(const std::string& option, const std::string& pattern,
                         const ParameterStore& parameters) {
  std::vector<std::string> names;
  for (const Parameter& p : parameters.parameters()) names.push_back(p.name);
  std::string letters = pattern;
  std::erase_if(letters, [](char c) { return c == '*' || c == '?'; });
  const std::string nearest = nearest_name(letters, names);
  const std::size_t more = names.size() - std::min(names.size(), kShown);
  names.resize(names.size() - more);
  throw Error(
      ErrorKind::usage,
      fmt::format("--{}: '{}' fits no parameter of this model{}; there are {}{}", option, pattern,
                  nearest.empty() ? "" : fmt::format("; did you mean '{}'?", nearest),
                  fmt::join(names, ", "), more > 0 ? fmt::format(", and {} more", more) : ""));
}

// Sets the rate of all that fit.
void apply(const std::string& option, const std::string& pattern, float rate,
           ParameterStore& parameters) {
  bool fits = false;
  for (Parameter& p : parameters.parameters()) {
    if (::fnmatch(pattern.c_str(), p.name.c_str(), 0) != 0) continue;
    p.rate = rate;
    fits = true;
  }
  if (!fits) refuse(option, pattern, parameters);
}

float factor_of(const std::string& rule, const std::string& text) {
  float factor = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), factor);
  SR_CHECK(error == std::errc() && end == text.data() + text.size() && std::isfinite(factor) &&
               factor > 0,
           ErrorKind::usage,
           "--train.rate_scale: '{}': the factor must be a number above 0; --train.freeze keeps "
           "values as they are",
           rule);
  return factor;
}

}  // namespace

void apply_parameter_rules(const Options& options, ParameterStore& parameters) {
  for (const std::string& rule : split(options.text("train.rate_scale"))) {
    const std::size_t colon = rule.rfind(':');
    SR_CHECK(colon != std::string::npos, ErrorKind::usage,
             "--train.rate_scale: '{}' is not PATTERN:FACTOR", rule);
    apply("train.rate_scale", rule.substr(0, colon), factor_of(rule, rule.substr(colon + 1)),
          parameters);
  }
  for (const std::string& pattern : split(options.text("train.freeze")))
    apply("train.freeze", pattern, 0, parameters);
  SR_CHECK(std::ranges::any_of(parameters.parameters(), [](auto& p) { return !p.frozen(); }),
           ErrorKind::usage, "--train.freeze={}: nothing is left to train",
           options.text("train.freeze"));
}

}  // namespace seqrank
