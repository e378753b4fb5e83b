// A job in which rank 1 does something wrong, as main() would meet it; its
// exit code and lines are what the tests look at.
#include <fmt/core.h>

#include <unistd.h>

#include <csignal>

#include <cstdio>
#include <stdexcept>
#include <string>

#include "collective/mpi.h"
#include "collective/mpi_wait.h"

namespace seqrank {
namespace {

// Rank 0 goes on into collectives that rank 1 never makes.
void work(Communicator& ranks, const std::string& fault) {
  Arena arena;
  Tensor x(arena, DType::f32, {100000}, Tag::workspace);
  for (float& value : x.span<float>()) value = 1;
  ranks.all_reduce(x, Reduce::sum);
  ranks.stream().synchronize();
  if (fault == "unused_part") {
    auto part = ranks.split(0, 0);
    if (ranks.rank() == 1) ::usleep(300'000);
  } else if (ranks.rank() == 1) {
    auto part = ranks.split(0, 0);
    if (fault == "throw") throw Error(ErrorKind::data, "no such file");
    if (fault == "in_flight") {  // unwinds a communicator and tensors that are in use
      Arena local;
      Tensor y(local, DType::f32, {100000}, Tag::workspace);
      part->all_reduce(y, Reduce::sum);
      throw Error(ErrorKind::data, "no such file");
    }
    if (fault == "mismatch") ranks.all_gather(x);
    if (fault == "stopped") ::raise(SIGSTOP);
    if (fault == "blocked") {
      const MpiBlockGuard guard("rank 1: split #3", 1);
      ::pause();
    }
    if (fault == "elsewhere") part->barrier();  // which rank 0 never enters
    ranks.stream().synchronize();
  } else {
    auto part = ranks.split(0, 0);
    ranks.all_reduce(x, Reduce::sum);
    ranks.stream().synchronize();
    ranks.barrier();
  }
}

}  // namespace
}  // namespace seqrank

int main(int, char** argv) {
  const std::string fault = argv[1];
  if (fault == "unwound_world") {
    try {
      const auto ranks = seqrank::make_mpi_communicator();
      seqrank::work(*ranks, "throw");
    } catch (const seqrank::Error&) {
      return 99;  // not reached: the world's destructor ended the job
    }
  }
  seqrank::MpiLimits limits;
  if (fault == "stopped" || fault == "elsewhere" || fault == "unused_part") limits.patience = 1;
  const auto ranks = seqrank::make_mpi_communicator(limits);
  try {
    seqrank::work(*ranks, fault);
    fmt::print("rank {}: nothing failed\n", ranks->rank());
  } catch (const seqrank::Error& error) {
    fmt::print(stderr, "rank {}: {}\n", ranks->rank(), error.what());
    ranks->abort(error.what(), error.exit_code());
  }
}
