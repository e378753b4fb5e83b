// Boost splits words into options and values and decides, by order of storing, that the command
// line wins; values are checked by Options, so that both sources give the same messages.
#include "launch/command_line.h"

#include <algorithm>
#include <boost/program_options.hpp>
#include <map>

#include "backend/check.h"
#include "models/ini_file.h"

namespace seqrank {
namespace {

namespace po = boost::program_options;

constexpr const char* kCommandLine = "command line";

// Options of every command that are about this call, not about the work: never in an INI file.
const std::vector<std::string> kSwitches = {"help", "print-config", "dry-run"};

po::options_description describe(const Options& options) {
  po::options_description description;
  for (const std::string& name : kSwitches) description.add_options()(name.c_str(), "");
  description.add_options()("config", po::value<std::string>());
  for (const OptionSpec& spec : options.specs()) {
    auto* value = po::value<std::string>();
    if (spec.kind == OptionKind::flag) value->implicit_value("yes");
    description.add_options()(spec.key.c_str(), value);
  }
  return description;
}

bool is_switch(const std::string& key) {
  return std::find(kSwitches.begin(), kSwitches.end(), key) != kSwitches.end();
}

// Words in Boost's form. Options that `description` lacks come marked as unregistered, and then
// what follows them counts as a word of its own: only with everything declared do bare words mean
// much.
po::parsed_options split_words(const std::vector<std::string>& words,
                               const po::options_description& description) {
  namespace style = po::command_line_style;
  return po::command_line_parser(words)
      .options(description)
      .style(style::allow_long | style::long_allow_adjacent | style::long_allow_next)
      .allow_unregistered()
      .run();
}

po::parsed_options file_options(const std::vector<IniEntry>& entries,
                                const po::options_description& description) {
  po::parsed_options parsed(&description);
  for (const IniEntry& entry : entries) {
    po::option option(entry.key, {entry.value});
    option.unregistered = description.find_nothrow(entry.key, false) == nullptr;
    parsed.options.push_back(option);
  }
  return parsed;
}

// Keys that are not declared (yet) are left out: Boost does not store them.
Options resolve(Options options, const po::parsed_options& words,
                const std::vector<IniEntry>& entries, const po::options_description& description) {
  po::variables_map stored;
  po::store(words, stored);  // first, and the first value stays
  std::map<std::string, std::string> where;
  for (const IniEntry& entry : entries) where[entry.key] = entry.where;
  for (const auto& [key, value] : stored) where[key] = kCommandLine;
  po::store(file_options(entries, description), stored);

  for (const auto& [key, value] : stored) {
    if (is_switch(key) || key == "config") continue;
    options.set(key, value.as<std::string>(), where.at(key));
  }
  return options;
}

Request request_of(const po::parsed_options& parsed) {
  const auto has = [&](const char* name) {
    return std::any_of(parsed.options.begin(), parsed.options.end(),
                       [&](const po::option& option) { return option.string_key == name; });
  };
  if (has("help")) return Request::help;
  if (has("print-config")) return Request::print_config;
  if (has("dry-run")) return Request::dry_run;
  return Request::run;
}

std::string config_of(const po::parsed_options& parsed) {
  for (const po::option& option : parsed.options) {
    if (option.string_key != "config") continue;
    SR_CHECK(!option.value.empty() && !option.value[0].empty(), ErrorKind::usage,
             "{}: --config needs the path of an INI file", kCommandLine);
    return option.value[0];
  }
  return "";
}

// A value that the command line overrides has to be right too: a wrong file is a wrong file.
void check_entries(const Options& declared, const std::vector<IniEntry>& entries) {
  Options scratch = declared;
  for (const IniEntry& entry : entries) {
    SR_CHECK(!is_switch(entry.key) && entry.key != "config", ErrorKind::usage,
             "{}: {} belongs on the command line, not in a file", entry.where, entry.key);
    scratch.set(entry.key, entry.value, entry.where);
  }
}

// Unknown words before stray ones: a stray word may be an unknown option's value.
void check_words(const Command& command, const Options& declared, po::parsed_options& parsed) {
  Options scratch = declared;
  bool bare_word_given = command.bare_word.empty();
  for (const po::option& option : parsed.options) {
    if (option.unregistered) {
      scratch.set(option.string_key, option.value.empty() ? "" : option.value[0], kCommandLine);
    }
    if (option.string_key == command.bare_word) bare_word_given = true;
  }
  for (po::option& option : parsed.options) {
    if (option.position_key < 0) continue;
    const std::string word = option.value.at(0);
    SR_CHECK(!word.starts_with("-") || word == "-", ErrorKind::usage,
             "{}: unknown option '{}'; options are written --name=value", kCommandLine, word);
    SR_CHECK(!bare_word_given, ErrorKind::usage,
             "{}: '{}' is not expected here; options are written --name=value", kCommandLine, word);
    bare_word_given = true;
    option = po::option(command.bare_word, {word});
  }
}

// The bare word as the option it sets, where it comes first: it may decide which options there are.
std::vector<std::string> with_named_word(const Command& command, std::vector<std::string> words) {
  std::replace(words.begin(), words.end(), std::string("-h"), std::string("--help"));
  if (!command.bare_word.empty() && !words.empty() && !words[0].starts_with("-"))
    words[0] = fmt::format("--{}={}", command.bare_word, words[0]);
  return words;
}

// Declares what more_options() names, until it names nothing new.
void declare_more(const Command& command, Options& declared, const std::vector<std::string>& words,
                  const std::vector<IniEntry>& entries) {
  if (!command.more_options) return;
  std::vector<OptionSpec> more;
  do {
    const po::options_description known = describe(declared);
    more = command.more_options(resolve(declared, split_words(words, known), entries, known));
    std::erase_if(more, [&](const OptionSpec& spec) { return declared.declares(spec.key); });
    declared.declare(more);
  } while (!more.empty());
}

}  // namespace

Invocation parse_command_line(const Command& command, const std::vector<std::string>& given) {
  const std::vector<std::string> words = with_named_word(command, given);
  try {
    Options declared(command.options);
    const std::string config = config_of(split_words(words, describe(declared)));
    const auto entries = config.empty() ? std::vector<IniEntry>() : read_ini(config);
    declare_more(command, declared, words, entries);

    const po::options_description all = describe(declared);
    po::parsed_options parsed = split_words(words, all);
    check_words(command, declared, parsed);
    check_entries(declared, entries);
    return {request_of(parsed), resolve(declared, parsed, entries, all)};
  } catch (const po::invalid_command_line_syntax& error) {
    using Syntax = po::invalid_command_line_syntax;
    SR_CHECK(error.kind() != Syntax::empty_adjacent_parameter &&
                 error.kind() != Syntax::missing_parameter,
             ErrorKind::usage, "{}: {} needs a value", kCommandLine, error.get_option_name());
    throw Error(ErrorKind::usage, fmt::format("{}: {}", kCommandLine, error.what()));
  } catch (const po::error& error) {
    throw Error(ErrorKind::usage, fmt::format("{}: {}", kCommandLine, error.what()));
  }
}

}  // namespace seqrank
