// What a subcommand is: a name, its declared options, and what it runs. One command_<name>.cc each;
// adding one means a file, a line in all_commands() and a line in CMakeLists.txt.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "models/options.h"

namespace seqrank {

class Communicator;

enum class Ranks { one, several };  // several: takes world_options(); works alone, too
// What USR1, TERM and INT do. polled: they set a flag that `run` must look at; else they end it.
enum class Stops { end_it, polled };

struct Command {
  std::string name;
  std::string summary;                // one line
  std::vector<std::string> examples;  // without the leading "seqrank "
  std::string bare_word;              // the option that a word without -- sets; "" = no such word
  std::vector<OptionSpec> options;
  // Options that exist only once others are known (a model's own); may be empty. Asked with what
  // the command line and the configuration file say about those known so far, until it names none
  // that is new. The bare word is known then only where it comes first.
  std::function<std::vector<OptionSpec>(const Options&)> more_options;
  Ranks ranks = Ranks::one;
  Stops stops = Stops::end_it;
  // Says what would be done, having checked what can be checked without writing anything.
  std::function<void(const Options&)> dry_run;
  // The exit code. Throws Error.
  std::function<int(const Options&, Communicator&)> run;
};

Command bench_command();
Command doctor_command();
Command evaluate_command();
Command explain_command();
Command inspect_command();
Command prepare_command();
Command recommend_command();
Command synth_command();
Command train_command();

std::vector<Command> all_commands();  // in the order people use them

}  // namespace seqrank
