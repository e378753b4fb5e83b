// A rank of a job that meets by TCP and in which something goes wrong, as main() would meet it:
//   tcp_failing_rank RANK SIZE FILE FAULT
// Its exit code and lines are what tcp_failure_test.py looks at.
#include <fmt/core.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <string>

#include "collective/tcp.h"

namespace seqrank {
namespace {

// The others go on into collectives that rank 1 never makes.
void work(Communicator& ranks, const std::string& fault) {
  Arena arena;
  Tensor x(arena, DType::f32, {100000}, Tag::workspace);
  for (float& value : x.span<float>()) value = 1;
  ranks.all_reduce(x, Reduce::sum);
  ranks.stream().synchronize();
  auto part = ranks.split(0, 0);
  if (ranks.rank() == 1) {
    if (fault == "throw") throw Error(ErrorKind::data, "no such file");
    if (fault == "in_flight") {  // unwinds a communicator and tensors that are in use
      Tensor y(arena, DType::f32, {100000}, Tag::workspace);
      part->all_reduce(y, Reduce::sum);
      throw Error(ErrorKind::data, "no such file");
    }
    if (fault == "killed" || fault == "killed_while_idle") ::raise(SIGKILL);
    if (fault == "stopped") ::raise(SIGSTOP);
    if (fault == "mismatch") ranks.all_gather(x);
    if (fault == "elsewhere") part->all_reduce(x, Reduce::sum);
    if (fault == "counts") x = x.flat_range(0, 99999);
    ranks.all_reduce(x, Reduce::sum);
  } else {
    // As if on a device that waits for the peer.
    if (fault == "killed_while_idle" || fault == "in_flight") ::pause();
    ranks.all_reduce(x, Reduce::sum);
  }
  ranks.stream().synchronize();
}

}  // namespace
}  // namespace seqrank

int main(int, char** argv) {
  const std::string fault = argv[4];
  const seqrank::TcpMeeting meeting{std::atoi(argv[1]), std::atoi(argv[2]), "", 0, argv[3]};
  if (fault == "unwound_world") {
    try {
      const auto ranks = seqrank::make_tcp_communicator(meeting);
      seqrank::work(*ranks, "throw");
    } catch (const seqrank::Error&) {
      return 99;  // not reached: the world's destructor ended the job
    }
  }
  const auto ranks = seqrank::make_tcp_communicator(meeting, fault == "stopped" ? 1 : 0);
  try {
    seqrank::work(*ranks, fault);
  } catch (const seqrank::Error& error) {
    if (ranks->rank() > 0) ::usleep(300'000 + 50'000 * ranks->rank());  // the lowest speaks
    fmt::print(stderr, "rank {}: {}\n", ranks->rank(), error.what());
    ranks->abort(error.what(), error.exit_code());
  }
}
