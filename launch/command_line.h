// Words of the command line and lines of an INI file -> checked Options. The command line wins.
// Prints nothing and runs nothing.
#pragma once

#include <string>
#include <vector>

#include "launch/command.h"
#include "models/options.h"

namespace seqrank {

enum class Request { run, help, print_config, dry_run };

struct Invocation {
  Request request = Request::run;
  Options options;  // of the command, and its more_options
};

// words: what follows the name of the command. Throws Error(usage).
Invocation parse_command_line(const Command& command, const std::vector<std::string>& words);

// For `seqrank --help` and `seqrank train --help`.
std::string program_help(const std::vector<Command>& commands);
std::string command_help(const Command& command, const Options& options);

}  // namespace seqrank
