// The program: finds the subcommand, runs it, and holds the one `try`. An error becomes one line on
// standard error and an exit code by class; peers of a failing rank are told to stop, never left
// waiting.
#include <signal.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "backend/check.h"
#include "collective/communicator.h"
#include "launch/command.h"
#include "launch/command_line.h"
#include "launch/launcher.h"
#include "launch/output.h"
#include "launch/paths_to_write.h"
#include "launch/peers.h"
#include "launch/stop_signals.h"
#include "launch/version.h"
#include "launch/world.h"
#include "models/ini_file.h"

namespace seqrank {
namespace {

using World = std::unique_ptr<Communicator>;

constexpr int kUnexpected = 1;

const Command& find_command(const std::vector<Command>& commands, const std::string& name) {
  std::vector<std::string> names;
  for (const Command& command : commands) {
    if (command.name == name) return command;
    names.push_back(command.name);
  }
  const std::string nearest = nearest_name(name, names);
  SR_CHECK(!nearest.empty(), ErrorKind::usage,
           "unknown command '{}'; `seqrank --help` lists them all", name);
  throw Error(ErrorKind::usage,
              fmt::format("unknown command '{}'; did you mean '{}'?", name, nearest));
}

int run_command(const Command& command, const std::vector<std::string>& words, World& world) {
  const Invocation invocation = parse_command_line(command, words);
  check_paths_to_write(invocation.options);
  switch (invocation.request) {
    case Request::help:
      print_out(command_help(command, invocation.options));
      return 0;
    case Request::print_config:
      print_out(to_ini(invocation.options));
      return 0;
    case Request::dry_run:
      command.dry_run(invocation.options);
      return 0;
    case Request::run:
      break;
  }
  // Before MPI starts its threads: none of them shall take these signals.
  if (command.stops == Stops::polled) install_stop_handlers();
  if (command.ranks == Ranks::several) {
    const std::string why = meets_by_mpi(invocation.options) ? launcher_fault() : "";
    if (!why.empty()) {
      if (launcher_rank() > 0) return static_cast<int>(ErrorKind::peers);  // the first one tells
      throw Error(ErrorKind::peers, why);
    }
    world = make_world(invocation.options);
  } else {
    world = make_null_communicator();
  }
  if (command.stops == Stops::polled)
    watch_ranks(world->clock(), std::make_shared<LocalPeers>(LocalPeers::of(*world)));
  const int code = command.run(invocation.options, *world);
  if (command.stops == Stops::polled) watch_ranks(nullptr, nullptr);  // who goes now has finished
  return code;
}

int run_program(const std::vector<std::string>& words, World& world) {
  const std::vector<Command> commands = all_commands();
  int code = 0;
  const bool asks_help = words.empty() || words[0] == "--help" || words[0] == "-h";
  if (asks_help || words == std::vector<std::string>{"help"}) {
    print_out(program_help(commands));
  } else if (words[0] == "--version") {
    print_out(fmt::format("seqrank {}\n", kVersion));
  } else if (words[0] == "help") {
    code = run_command(find_command(commands, words[1]), {"--help"}, world);
  } else {
    const std::vector<std::string> rest(words.begin() + 1, words.end());
    code = run_command(find_command(commands, words[0]), rest, world);
  }
  flush_out();
  return code;
}

int fail(World& world, const std::string& message, int code) {
  const int rank = world ? world->rank() : launcher_rank();
  // Without a world the error is in the words or files that all ranks were given, as a rule.
  const bool names_rank = world ? world->size() > 1 : rank > 0;
  const std::string who = names_rank ? fmt::format("rank {}: ", rank) : "";
  const std::string line = fmt::format("seqrank: {}{}\n", who, one_line(message));
  if (rank > 0) {
    // Most errors strike all ranks at once, and the user needs to read one line: the lowest rank
    // speaks first, and its abort, or the launcher (srun: --kill-on-bad-exit=1), ends the others
    // while they wait here.
    restore_default_stop();
    const int first_ms = world ? 300 : 2000;  // mpirun takes a second to end what never joined it
    std::this_thread::sleep_for(std::chrono::milliseconds(first_ms + 50 * std::min(rank, 50)));
  }
  std::fputs(line.c_str(), stderr);
  std::fflush(stderr);
  hush_peers();
  if (world && world->size() > 1) world->abort(message, code);
  return code;
}

}  // namespace
}  // namespace seqrank

int main(int argc, char** argv) {
  // A reader that goes away (`| head`) is met where we write, not by dying in the middle of a run.
  ::signal(SIGPIPE, SIG_IGN);
  // A file beyond the limit of its size (ulimit -f) is an error of that write, like a full disk.
  ::signal(SIGXFSZ, SIG_IGN);
  // Open MPI would print a back trace from inside SIGABRT and SIGSEGV, which allocates, and waits
  // for ever when the heap is what broke: a crashed rank has to die, or its peers wait with it.
  ::setenv("OMPI_MCA_opal_signal", "", 0);
  // Larger messages over TCP first ask whether they may come, which is three latencies instead of
  // one. Ours are half a megabyte at the most, and are expected.
  ::setenv("OMPI_MCA_btl_tcp_eager_limit", "1048576", 0);
  seqrank::World world;  // outlives the try: a failing rank aborts its peers through it
  try {
    return seqrank::run_program(std::vector<std::string>(argv + 1, argv + argc), world);
  } catch (const seqrank::Error& error) {
    return seqrank::fail(world, error.what(), error.exit_code());
  } catch (const std::bad_alloc&) {
    return seqrank::fail(world, "out of memory", static_cast<int>(seqrank::ErrorKind::device));
  } catch (const std::exception& error) {
    return seqrank::fail(world, fmt::format("unexpected error: {}; please report it", error.what()),
                         seqrank::kUnexpected);
  }
}
