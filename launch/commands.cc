// The list of subcommands; each lives in its own file.
#include "launch/command.h"

namespace seqrank {

std::vector<Command> all_commands() {
  return {};
}

}  // namespace seqrank
