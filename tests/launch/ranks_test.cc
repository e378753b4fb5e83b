// What a rank finds out about its place: seats, threads, and what a launcher says.
#include "launch/ranks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "backend/context.h"
#include "collective/thread.h"
#include "launch/launcher.h"

namespace seqrank {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

Seat seat(int node, std::vector<int> processors) {
  Seat result;
  result.host = "n" + std::to_string(node);
  result.node = node;
  result.processors = std::move(processors);
  return result;
}

TEST(Ranks, ShareTheProcessorsThatTheyHaveInCommon) {
  const std::vector<Seat> seats = {seat(0, {0, 1, 2, 3}), seat(0, {0, 1, 2, 3}), seat(0, {4}),
                                   seat(3, {0, 1, 2, 3})};
  EXPECT_EQ(threads_by_seat(seats, 0), 2);
  EXPECT_EQ(threads_by_seat(seats, 1), 2);
  EXPECT_EQ(threads_by_seat(seats, 2), 1);
  EXPECT_EQ(threads_by_seat(seats, 3), 4);
}

TEST(Ranks, HaveAThreadEachWhereThereAreTooFewProcessors) {
  const std::vector<Seat> seats(3, seat(0, {0, 1}));
  EXPECT_EQ(threads_by_seat(seats, 2), 1);
}

TEST(Ranks, SeatsSurviveBeingTold) {
  const Seat given{"node-7", 4, 2, {0, 1, 8, 9}, {0, 1}};
  const nlohmann::ordered_json json = given;
  const Seat read = json.get<Seat>();
  EXPECT_EQ(read.host, "node-7");
  EXPECT_EQ(read.node, 4);
  EXPECT_EQ(read.local_rank, 2);
  EXPECT_THAT(read.processors, ElementsAre(0, 1, 8, 9));
  EXPECT_THAT(read.cores, ElementsAre(0, 1));
}

TEST(Ranks, FindTheirMachine) {
  with_ranks(3, [](Communicator& comm) {
    const Seat own = own_seat(comm);
    EXPECT_EQ(own.node, 0);
    EXPECT_EQ(own.local_rank, comm.rank());
    EXPECT_THAT(own.processors, SizeIs(affinity_threads()));
    EXPECT_FALSE(own.cores.empty());
    EXPECT_LE(own.cores.size(), own.processors.size());
  });
}

// The variables of a launcher, for the time of a test.
class Launcher : public testing::Test {
 protected:
  Launcher() {
    for (const char* name :
         {"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE", "PMI_SIZE",
          "PMI_RANK", "PMIX_RANK", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "SLURM_NTASKS"})
      ::unsetenv(name);
  }
  void set(const char* name, const char* value) {
    ::setenv(name, value, 1);
    set_.push_back(name);
  }
  ~Launcher() override {
    for (const char* name : set_) ::unsetenv(name);
  }

 private:
  std::vector<const char*> set_;
};

TEST_F(Launcher, NobodySaysNothing) {
  EXPECT_EQ(launcher_claim().launcher, "");
  EXPECT_EQ(launcher_claim().ranks, 1);
  EXPECT_EQ(launcher_rank(), 0);
  EXPECT_EQ(slurm_job_tasks(), 0);
}

TEST_F(Launcher, TheInnermostOneSpeaks) {
  set("SLURM_STEP_NUM_TASKS", "2");  // of the daemons that mpirun started
  set("SLURM_PROCID", "1");
  EXPECT_EQ(launcher_claim().launcher, "srun");
  EXPECT_EQ(launcher_claim().ranks, 2);
  EXPECT_EQ(launcher_rank(), 1);
  set("OMPI_COMM_WORLD_SIZE", "16");
  set("OMPI_COMM_WORLD_RANK", "9");
  EXPECT_EQ(launcher_claim().launcher, "Open MPI's mpirun");
  EXPECT_EQ(launcher_claim().ranks, 16);
  EXPECT_EQ(launcher_rank(), 9);
}

TEST_F(Launcher, SrunWithoutPmixCannotWork) {
  EXPECT_EQ(launcher_fault(), "");
  set("SLURM_STEP_NUM_TASKS", "2");
  set("SLURM_PROCID", "1");
  EXPECT_THAT(launcher_fault(), ::testing::HasSubstr("srun --mpi=pmix"));
  set("PMIX_RANK", "1");
  EXPECT_EQ(launcher_fault(), "");
}

TEST_F(Launcher, MpirunWithinAStepOfSlurmCanWork) {
  set("SLURM_STEP_NUM_TASKS", "2");
  set("OMPI_COMM_WORLD_SIZE", "4");
  EXPECT_EQ(launcher_fault(), "");
}

TEST_F(Launcher, WhatIsNoNumberIsNotBelieved) {
  set("PMI_SIZE", "many");
  EXPECT_EQ(launcher_claim().launcher, "");
  set("PMI_SIZE", "-4");
  EXPECT_EQ(launcher_claim().launcher, "");
}

}  // namespace
}  // namespace seqrank
