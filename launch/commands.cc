// The list of subcommands; each lives in its own file.
#include "launch/command.h"

namespace seqrank {

std::vector<Command> all_commands() {
  return {prepare_command(),  synth_command(),     train_command(),
          evaluate_command(), recommend_command(), explain_command(),
          inspect_command(),  doctor_command(),    bench_command()};
}

}  // namespace seqrank
