// seqrank doctor: the checks before step 1, on one screen. Takes train's options, so that the word
// `train` in a command line is all that changes; trains nothing and leaves nothing in the run
// folder.
#include "collective/communicator.h"
#include "launch/command.h"
#include "launch/doctor/report.h"
#include "launch/model_choice.h"
#include "launch/output.h"
#include "launch/train_call.h"

namespace seqrank {
namespace {

void dry_run(const Options&) {
  print_out("would check ranks, processors, devices, data set, run folder, clocks and exchanges\n");
}

int run(const Options& given, Communicator& comm) {
  const Checkup checkup = check_up(comm, "doctor", options_of_run(given), given, Depth::full);
  if (speaks(comm)) {
    print_out(checkup_text(checkup));
    if (given.has("json")) write_file(given.text("json"), checkup_json(checkup));
  }
  return exit_code(checkup.findings);
}

}  // namespace

Command doctor_command() {
  Command command;
  command.name = "doctor";
  command.summary =
      "checks ranks, binding, devices, data, run folder and exchanges; takes train's options";
  command.examples = {"mpirun -np 4 --bind-to none seqrank doctor --data=ml-1m.h5 --run=runs/a"};
  command.options = train_call_options();
  command.more_options = options_of_named_model;
  command.ranks = Ranks::several;
  command.dry_run = dry_run;
  command.run = run;
  return command;
}

}  // namespace seqrank
