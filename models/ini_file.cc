// A reader of its own, because Boost's forgets line numbers and every error here has to name one.
#include "models/ini_file.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>

#include <fmt/format.h>

#include "backend/check.h"

namespace seqrank {
namespace {

std::string trimmed(const std::string& text) {
  const char* blank = " \t\r";
  const std::size_t begin = text.find_first_not_of(blank);
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(blank) - begin + 1);
}

bool is_key(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) || c == '.' || c == '_' || c == '-';
  });
}

std::string section_of(const std::string& key) {
  const std::size_t dot = key.find('.');
  return dot == std::string::npos ? "" : key.substr(0, dot);
}

}  // namespace

std::vector<IniEntry> parse_ini(const std::string& text, const std::string& name) {
  SR_CHECK(text.find('\0') == std::string::npos, ErrorKind::usage,
           "{}: not a text file; give an INI file in UTF-8", name);
  std::vector<IniEntry> entries;
  std::map<std::string, std::string> first_given;  // key -> where
  std::string section;
  std::size_t begin = text.starts_with("\xEF\xBB\xBF") ? 3 : 0;
  for (int line_number = 1; begin < text.size(); ++line_number) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string line = trimmed(text.substr(begin, end - begin));
    begin = end + 1;
    if (line.empty() || line[0] == '#' || line[0] == ';') continue;

    const std::string where = fmt::format("{}:{}", name, line_number);
    if (line[0] == '[') {
      section = line.back() == ']' ? trimmed(line.substr(1, line.size() - 2)) : "";
      SR_CHECK(is_key(section), ErrorKind::usage, "{}: '{}' is not a [section]", where, line);
      continue;
    }
    const std::size_t equals = line.find('=');
    SR_CHECK(equals != std::string::npos, ErrorKind::usage,
             "{}: '{}' is neither 'key = value' nor a [section] nor a # comment", where, line);
    const std::string bare = trimmed(line.substr(0, equals));
    SR_CHECK(is_key(bare), ErrorKind::usage, "{}: '{}' is not the name of an option", where, bare);
    const std::string key = section.empty() ? bare : section + "." + bare;
    const auto [given, is_new] = first_given.emplace(key, where);
    SR_CHECK(is_new, ErrorKind::usage, "{}: {} is already given at {}; keep one of them", where,
             key, given->second);
    entries.push_back({key, trimmed(line.substr(equals + 1)), where});
  }
  return entries;
}

std::vector<IniEntry> read_ini(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  SR_CHECK(file.is_open(), ErrorKind::usage, "{}: cannot open this configuration: {}", path,
           std::strerror(errno));
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  SR_CHECK(!file.bad(), ErrorKind::usage, "{}: cannot read this configuration", path);
  return parse_ini(text, path);
}

std::string to_ini(const Options& options) {
  // Keys without a section go first: nothing ends a section but another one.
  std::vector<std::string> sections = {""};
  for (const OptionSpec& spec : options.specs()) {
    const std::string section = section_of(spec.key);
    if (std::find(sections.begin(), sections.end(), section) == sections.end()) {
      sections.push_back(section);
    }
  }
  std::string ini;
  for (const std::string& section : sections) {
    if (!section.empty()) ini += fmt::format("\n[{}]\n", section);
    for (const OptionSpec& spec : options.specs()) {
      if (section_of(spec.key) != section) continue;
      const std::string bare = section.empty() ? spec.key : spec.key.substr(section.size() + 1);
      ini += fmt::format("# {}\n", spec.help);
      ini += options.has(spec.key) ? fmt::format("{} = {}\n", bare, options.text(spec.key))
                                   : fmt::format("# {} =\n", bare);
    }
  }
  return ini;
}

}  // namespace seqrank
