// The --help texts, made from the same tables that parse and check.
#include <algorithm>
#include <cctype>

#include <fmt/format.h>

#include "launch/command_line.h"

namespace seqrank {
namespace {

// "whole number, 1..", "lstm|gru", "yes|no": what may stand after the =.
std::string value_words(const OptionSpec& spec) {
  const std::string range = spec.allowed.empty() ? "" : " " + spec.allowed;
  switch (spec.kind) {
    case OptionKind::integer:
      return "int" + range;
    case OptionKind::real:
      return "number" + range;
    case OptionKind::flag:
      return "yes|no";
    case OptionKind::choice:
      return spec.allowed;
    case OptionKind::text:
      return "text";
  }
  return "";
}

std::string section_of(const std::string& key) {
  const std::size_t dot = key.find('.');
  return dot == std::string::npos ? "" : key.substr(0, dot);
}

// How a word without -- is shown: a place to be filled, as FILE and COMMAND are.
std::string upper_case(std::string word) {
  for (char& c : word) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return word;
}

}  // namespace

std::string program_help(const std::vector<Command>& commands) {
  std::string help =
      "seqrank trains recommenders that read behaviour as a sequence and rank what comes next.\n\n"
      "usage: seqrank COMMAND [--name=value ...]\n\n";
  for (const Command& command : commands) {
    help += fmt::format("  {:<10} {}\n", command.name, command.summary);
  }
  help +=
      "\nseqrank COMMAND --help, or seqrank help COMMAND, lists the options of a command, with "
      "defaults and units.\n"
      "Exit codes: 0 done, 2 command line or configuration, 3 data, 4 device, 5 other ranks,\n"
      "6 checkpoint, 75 stopped and can be resumed.\n";
  return help;
}

std::string command_help(const Command& command, const Options& options) {
  std::string help = fmt::format("seqrank {}: {}\n\n", command.name, command.summary);
  for (const std::string& example : command.examples) help += fmt::format("  {}\n", example);

  std::vector<std::string> sections;
  for (const OptionSpec& spec : options.specs()) {
    const std::string section = section_of(spec.key);
    if (std::find(sections.begin(), sections.end(), section) == sections.end()) {
      sections.push_back(section);
    }
  }
  for (const std::string& section : sections) {
    help += section.empty() ? "\nOptions\n" : fmt::format("\n[{}]\n", section);
    for (const OptionSpec& spec : options.specs()) {
      if (section_of(spec.key) != section) continue;
      const std::string value = options.text(spec.key);
      const std::string name =
          spec.key == command.bare_word ? upper_case(spec.key) : "--" + spec.key;
      help += fmt::format("  {:<28} {}{}\n      {}\n", name, value_words(spec),
                          value.empty() ? "" : fmt::format("  [{}]", value), spec.help);
    }
  }
  help +=
      "\nThis call\n"
      "  --config=FILE                read options from an INI file; the command line wins\n"
      "  --print-config               print all options as they stand, as INI, and end\n"
      "  --dry-run                    check everything that can be checked, write nothing, and "
      "end\n"
      "  --help                       this text\n";
  return help;
}

}  // namespace seqrank
