// Facts of machines that are not here -> findings: which, on which ranks, and as one line even of
// very many ranks. What can be planted for real is planted in doctor_test.py.
#include "launch/doctor/examine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

namespace seqrank {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// `nodes` hosts of `cores` cores, `per_node` ranks on each, each bound as `bind` says.
std::vector<ProcessFacts> cluster(int nodes, int per_node, int cores, int bind_cores) {
  std::vector<ProcessFacts> all;
  for (int rank = 0; rank < nodes * per_node; ++rank) {
    ProcessFacts facts;
    facts.seat.node = rank / per_node * per_node;
    facts.seat.host = "n" + std::to_string(rank / per_node + 1);
    facts.seat.local_rank = rank % per_node;
    for (int core = 0; core < bind_cores; ++core)
      facts.seat.cores.push_back((facts.seat.local_rank * bind_cores + core) % cores);
    facts.seat.processors = facts.seat.cores;
    for (int core = 0; core < cores; ++core) facts.launcher_processors.push_back(core);
    facts.claim = {"srun", nodes * per_node, rank};
    facts.binary = "aaaa";
    facts.versions = {{"MPI", "Open MPI v4.1.4"}, {"oneDNN", "oneDNN 2.6.3"}};
    facts.configuration = {{"command", "train"}, {"model.width", "64"}};
    all.push_back(facts);
  }
  return all;
}

std::string line(const std::vector<ProcessFacts>& processes, const Finding& finding) {
  return to_line(finding, seats_of(processes));
}

TEST(Examine, FindsNothingOnAGoodCluster) {
  const auto processes = cluster(500, 8, 64, 8);
  EXPECT_THAT(examine_launch(processes, "train"), IsEmpty());
  EXPECT_THAT(examine_sameness(processes), IsEmpty());
  EXPECT_THAT(examine_processors(processes), IsEmpty());
  EXPECT_THAT(examine_devices(processes), IsEmpty());
  EXPECT_THAT(examine_storage(std::vector<StorageFacts>(4)), IsEmpty());
  EXPECT_THAT(examine_clocks(std::vector<ClockReading>(4)), IsEmpty());
}

TEST(Examine, ForeignLauncherGetsTheRightCommandLine) {
  auto processes = cluster(1, 1, 4, 4);
  processes[0].claim = {"an mpirun of MPICH or Intel MPI", 8, 0};
  const auto findings = examine_launch(processes, "train");
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].name, "foreign-launcher");
  EXPECT_EQ(exit_code(findings), 5);
  EXPECT_THAT(line(processes, findings[0]),
              AllOf(HasSubstr("Open MPI v4.1.4"), HasSubstr("mpirun -np 8 --bind-to none"),
                    HasSubstr("srun --mpi=pmix --ntasks=8 seqrank train")));
}

TEST(Examine, TaskCountUnlikeTheWorldIsOneLineForAll) {
  auto processes = cluster(100, 4, 8, 2);
  for (ProcessFacts& facts : processes) facts.claim.ranks = 800;
  const auto findings = examine_launch(processes, "doctor");
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].name, "task-count");
  EXPECT_THAT(line(processes, findings[0]),
              AllOf(HasSubstr("800 tasks"), HasSubstr("400 ranks"), HasSubstr("all ranks")));
}

TEST(Examine, NamesRanksAndKeysOfOtherConfigurations) {
  auto processes = cluster(4, 2, 4, 2);
  processes[5].configuration["model.width"] = "32";
  processes[6].configuration["train.seed"] = "2";
  const auto findings = examine_sameness(processes);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_THAT(findings[0].ranks, ElementsAre(5, 6));
  EXPECT_EQ(exit_code(findings), 2);
  EXPECT_THAT(line(processes, findings[0]), AllOf(HasSubstr("model.width is 32, elsewhere 64"),
                                                  HasSubstr("train.seed is 2, elsewhere (none)"),
                                                  HasSubstr("rank 5 on n3, rank 6 on n4")));
}

TEST(Examine, NamesTheFewRanksOfAnotherProgramAlsoWhenTheyAreFirst) {
  auto processes = cluster(4, 2, 4, 2);
  processes[0].binary = processes[1].binary = "bbbb";
  processes[2].versions["oneDNN"] = "oneDNN 3.0.0";
  const auto findings = examine_sameness(processes);
  ASSERT_THAT(findings, SizeIs(2));
  EXPECT_THAT(findings[0].ranks, ElementsAre(0, 1));
  EXPECT_THAT(line(processes, findings[0]), HasSubstr("XXH3 bbbb, elsewhere aaaa"));
  EXPECT_EQ(findings[1].severity, Severity::warning);
  EXPECT_THAT(line(processes, findings[1]), HasSubstr("oneDNN 3.0.0, elsewhere oneDNN 2.6.3"));
}

TEST(Examine, FactsOfAnotherVersionAreOfAnotherProgram) {
  auto texts = std::vector<std::string>(3, to_text(cluster(1, 1, 2, 2)[0]));
  texts[1] = "{\"seat\": 7}";
  const auto processes = process_facts(texts);
  const auto findings = examine_sameness(processes);
  ASSERT_FALSE(findings.empty());
  EXPECT_EQ(findings[0].name, "binary");
  EXPECT_THAT(findings[0].ranks, ElementsAre(1));
}

TEST(Examine, RanksThatShareACoreAreToldOnceForAllHosts) {
  auto processes = cluster(300, 2, 16, 1);
  for (ProcessFacts& facts : processes)  // whichever core a host has given
    facts.seat.cores = facts.seat.processors = {facts.seat.node % 16};
  const auto findings = examine_processors(processes);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].name, "two-ranks-one-core");
  EXPECT_EQ(exit_code(findings), 0);
  EXPECT_THAT(line(processes, findings[0]),
              AllOf(HasSubstr("2 ranks on 1 core ("), HasSubstr("all ranks"),
                    HasSubstr("--bind-to none"), HasSubstr("--cpus-per-task")));
}

TEST(Examine, TwoHyperthreadsOfOneCoreAreOneCore) {
  auto processes = cluster(1, 2, 4, 1);
  processes[0].seat = {"n1", 0, 0, {0}, {0}};
  processes[1].seat = {"n1", 0, 1, {4}, {0}};
  // Bound to different processors: neither set holds the other, but the core is the same.
  const auto findings = examine_processors(processes);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].name, "two-ranks-one-core");
}

TEST(Examine, ACrowdInACornerIsFoundBesideRanksWithRoom) {
  auto processes = cluster(1, 3, 16, 16);
  processes[0].seat.cores = processes[0].seat.processors = {5};
  processes[2].seat.cores = processes[2].seat.processors = {5};
  processes[1].threads = 8;
  const auto findings = examine_processors(processes);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_THAT(findings[0].ranks, ElementsAre(0, 2));
}

TEST(Examine, MoreThreadsThanProcessorsNamesTheNumberThatFits) {
  auto processes = cluster(2, 4, 8, 8);
  for (int rank = 4; rank < 8; ++rank) processes[rank].threads = 8;
  const auto findings = examine_processors(processes);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].name, "threads");
  EXPECT_THAT(findings[0].ranks, ElementsAre(4, 5, 6, 7));
  EXPECT_THAT(line(processes, findings[0]),
              AllOf(HasSubstr("32 compute threads on 8 processors"), HasSubstr("--threads=2")));
}

TEST(Examine, MpirunsBindingOfFewRanksLeavesProcessorsIdle) {
  auto processes = cluster(1, 2, 64, 1);
  EXPECT_THAT(examine_processors(processes), IsEmpty()) << "srun binds to what the job was given";
  for (ProcessFacts& facts : processes) facts.claim.launcher = "Open MPI's mpirun";
  const auto findings = examine_processors(processes);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_THAT(line(processes, findings[0]),
              AllOf(HasSubstr("2 of the 64 processors"), HasSubstr("--bind-to none")));
  for (ProcessFacts& facts : processes) facts.threads = 1;
  EXPECT_THAT(examine_processors(processes), IsEmpty()) << "one thread was asked for";
}

// A program with CUDA on hosts that show every rank `devices` devices.
std::vector<ProcessFacts> with_devices(std::vector<ProcessFacts> processes, int devices) {
  for (ProcessFacts& facts : processes) {
    facts.configuration["device"] = "auto";
    facts.configuration["exchange"] = "nccl";
    facts.cuda = {.built = true, .missing = "", .driver = 13010, .runtime = 13000, .devices = {}};
    for (int i = 0; i < devices; ++i) {
      DeviceFacts& device = facts.cuda.devices.emplace_back();
      device.name = "NVIDIA H100";
      device.pci = "0000:0" + std::to_string(i);
    }
  }
  return processes;
}

void lose_devices(CudaFacts& cuda, const std::string& why) {
  cuda.missing = why;
  cuda.devices.clear();
}

TEST(Examine, DevicesAreCountedByHost) {
  auto processes = with_devices(cluster(2, 4, 8, 2), 4);
  EXPECT_THAT(examine_devices(processes), IsEmpty());
  EXPECT_EQ(device_of(processes[6])->pci, "0000:02");
  for (int rank = 4; rank < 8; ++rank) processes[rank].cuda.devices.resize(2);
  const auto findings = examine_devices(processes);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].name, "more-ranks-than-devices");
  EXPECT_EQ(exit_code(findings), 4);
  EXPECT_THAT(line(processes, findings[0]),
              AllOf(HasSubstr("4 ranks and 2 visible GPUs"), HasSubstr("ranks 4-7 on n2"),
                    HasSubstr("--exchange=staged")));
  for (ProcessFacts& facts : processes) facts.configuration["exchange"] = "staged";
  EXPECT_THAT(examine_devices(processes), IsEmpty()) << "ranks may share a device";
}

TEST(Examine, TwoRanksOnOneDeviceAreNamedByItsBus) {
  auto processes = with_devices(cluster(1, 3, 8, 2), 3);
  processes[0].cuda.devices.resize(1);
  processes[1].cuda.devices.resize(1);
  const auto findings = examine_devices(processes);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].name, "two-ranks-one-device");
  EXPECT_THAT(findings[0].ranks, ElementsAre(0, 1));
  EXPECT_THAT(findings[0].what, HasSubstr("GPU 0000:00"));
  // Slurm shows each task a device of its own, which each calls 0.
  processes[1].cuda.devices[0].pci = "0000:01";
  EXPECT_THAT(examine_devices(processes), IsEmpty());
}

TEST(Examine, NoDeviceIsAWarningUnlessOneIsWanted) {
  auto processes = with_devices(cluster(2, 2, 4, 2), 2);
  for (const int rank : {2, 3}) lose_devices(processes[rank].cuda, "no driver");
  auto findings = examine_devices(processes);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].severity, Severity::warning);
  EXPECT_THAT(line(processes, findings[0]),
              AllOf(HasSubstr("no driver"), HasSubstr("computing on the CPU"),
                    HasSubstr("ranks 2-3 on n2")));
  EXPECT_FALSE(computes_on_cuda(processes));
  for (ProcessFacts& facts : processes) facts.configuration["device"] = "cuda";
  findings = examine_devices(processes);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(exit_code(findings), 4);
  EXPECT_THAT(findings[0].ranks, ElementsAre(2, 3));
}

TEST(Examine, AProgramWithoutCudaIsFineUnlessADeviceIsWanted) {
  auto processes = with_devices(cluster(1, 1, 4, 2), 0);
  processes[0].cuda = CudaFacts();
  processes[0].cuda.missing = "this program was built without CUDA";
  EXPECT_THAT(examine_devices(processes), IsEmpty());
  processes[0].configuration["device"] = "cuda";
  EXPECT_EQ(exit_code(examine_devices(processes)), 4);
}

TEST(Examine, AnOldDriverIsAnErrorAnOlderMinorVersionIsNot) {
  auto processes = with_devices(cluster(1, 2, 4, 2), 2);
  for (ProcessFacts& facts : processes) facts.cuda.runtime = 13020;
  EXPECT_THAT(examine_devices(processes), IsEmpty());
  processes[1].cuda.driver = 12080;
  lose_devices(processes[1].cuda, "CUDA driver version is insufficient");
  const auto findings = examine_devices(processes);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].name, "old-driver");
  EXPECT_EQ(exit_code(findings), 4);
  EXPECT_THAT(findings[0].what, AllOf(HasSubstr("CUDA 12.8"), HasSubstr("CUDA 13.2")));
}

TEST(Examine, OtherDevicesThanElsewhereAreAWarning) {
  auto processes = with_devices(cluster(4, 2, 4, 2), 2);
  EXPECT_EQ(process_facts({to_text(processes[1])})[0].cuda.devices[1].pci, "0000:01");
  for (DeviceFacts& device : processes[2].cuda.devices) device.name = "NVIDIA A100";
  const auto findings = examine_devices(processes);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].name, "mixed-devices");
  EXPECT_EQ(exit_code(findings), 0);
  EXPECT_THAT(line(processes, findings[0]),
              AllOf(HasSubstr("A100, elsewhere NVIDIA H100"), HasSubstr("rank 2 on n2")));
}

std::vector<StorageFacts> good_storage(int ranks) {
  StorageFacts facts;
  facts.data = "ml.h5";
  facts.fingerprint = "f1";
  facts.run = "runs/a";
  facts.token_seen = true;
  facts.free_bytes = std::int64_t{1} << 40;
  facts.parameters = 1000000;
  facts.saved = 3000000;
  return std::vector<StorageFacts>(ranks, facts);
}

TEST(Examine, TheDataSetOfOneRankIsNamedWithBothFingerprints) {
  auto storage = good_storage(5);
  EXPECT_THAT(examine_storage(storage), IsEmpty());
  storage[0].fingerprint = "f2";
  const auto findings = examine_storage(storage);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_THAT(findings[0].ranks, ElementsAre(0));
  EXPECT_THAT(findings[0].what, HasSubstr("fingerprint f2, elsewhere f1"));
  EXPECT_EQ(exit_code(findings), 3);
}

TEST(Examine, ErrorsOfDataComeBeforeThoseOfTheRunFolder) {
  auto storage = good_storage(3);
  storage[2].run_error = "runs: Permission denied";
  storage[1].data_error = "ml.h5: cannot be opened: No such file or directory";
  storage[1].data_error_code = 3;
  storage[1].fingerprint = "";
  const auto findings = examine_storage(storage);
  ASSERT_THAT(findings, SizeIs(2));
  EXPECT_EQ(exit_code(findings), 3);
  EXPECT_EQ(findings[1].name, "run-folder");
  EXPECT_THAT(findings[1].ranks, ElementsAre(2));
}

TEST(Examine, AFolderThatOnlySomeSeeIsNotShared) {
  auto storage = good_storage(4);
  storage[2].token_seen = storage[3].token_seen = false;
  const auto findings = examine_storage(storage);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].name, "run-folder-not-shared");
  EXPECT_THAT(findings[0].ranks, ElementsAre(2, 3));
}

TEST(Examine, RoomForOneCheckpointIsAWarningForLessAnError) {
  auto storage = good_storage(2);
  const std::int64_t one = checkpoint_bytes(3000000, 2);
  EXPECT_GE(one, 12000000);
  storage[0].free_bytes = 2 * one - 1;
  auto findings = examine_storage(storage);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].severity, Severity::warning);
  storage[0].checkpoints = 2;
  EXPECT_THAT(examine_storage(storage), IsEmpty()) << "a resumed run replaces its oldest";
  storage[0].free_bytes = one - 1;
  findings = examine_storage(storage);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(exit_code(findings), 6);
}

TEST(Examine, TablesInFilesTakeRoomBeforeCheckpoints) {
  auto storage = good_storage(2);
  const std::int64_t one = checkpoint_bytes(3000000, 2);
  for (StorageFacts& facts : storage) {
    facts.table_bytes = 1 << 30;
    facts.table_folder = "runs";
    facts.table_system = "run";
    facts.free_bytes = facts.table_free = (std::int64_t{2} << 30) + 2 * one;
  }
  EXPECT_THAT(examine_storage(storage), IsEmpty());
  const auto with_free = [&](std::int64_t free) {
    for (StorageFacts& facts : storage) facts.free_bytes = facts.table_free = free;
    return examine_storage(storage);
  };
  auto findings = with_free((std::int64_t{2} << 30) + one);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].severity, Severity::warning);
  EXPECT_THAT(findings[0].what, HasSubstr("beside tables in files of 2.0 GiB"));
  findings = with_free((std::int64_t{2} << 30) - 1);
  ASSERT_THAT(findings, SizeIs(1)) << "one line for what does not fit";
  EXPECT_EQ(findings[0].name, "table-files");
  EXPECT_THAT(findings[0].ranks, ElementsAre(0, 1));
  EXPECT_EQ(exit_code(findings), 4);
}

TEST(Examine, TablesInAFolderOfEachHostAreCountedThere) {
  auto storage = good_storage(3);
  for (int rank = 0; rank < 3; ++rank) {
    storage[rank].table_bytes = 600;
    storage[rank].table_folder = "/scratch";
    storage[rank].table_system = rank < 2 ? "n0 7" : "n1 7";
    storage[rank].table_free = 1000;
  }
  const auto findings = examine_storage(storage);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].name, "table-files");
  EXPECT_THAT(findings[0].ranks, ElementsAre(0, 1));
}

TEST(Examine, NoLocksIsANote) {
  auto storage = good_storage(2);
  for (StorageFacts& facts : storage) facts.lock_error = ENOLCK;
  const auto findings = examine_storage(storage);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].severity, Severity::note);
  EXPECT_THAT(findings[0].ranks, ElementsAre(0, 1));
}

TEST(Examine, AClockIsApartOnlyWhenTheMeasurementIsSureOfIt) {
  EXPECT_THAT(examine_clocks({{0, 0}, {1.4, 0.5}}), IsEmpty());
  const auto findings = examine_clocks({{0, 0}, {0.2, 0.1}, {-3, 0.5}});
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_THAT(findings[0].ranks, ElementsAre(2));
  EXPECT_THAT(findings[0].what, HasSubstr("3.0 s behind"));
}

// A ring of ranks, all pairs at `rate` GB/s.
std::vector<PairRate> ring(int ranks, double rate) {
  std::vector<PairRate> pairs;
  for (int rank = 0; rank < (ranks > 2 ? ranks : ranks - 1); ++rank)
    pairs.push_back({rank, (rank + 1) % ranks, 1e-6, rate * 1e9});
  return pairs;
}

TEST(Examine, ASlowRankIsNamedNotItsNeighbours) {
  for (const int ranks : {3, 4, 64}) {
    const auto seats = seats_of(cluster(1, ranks, 64, 1));
    auto pairs = ring(ranks, 5);
    EXPECT_THAT(examine_exchange(pairs, seats), IsEmpty());
    pairs[1].bytes_per_second = pairs[2].bytes_per_second = 0.2e9;  // 1-2 and 2-3
    const auto findings = examine_exchange(pairs, seats);
    ASSERT_THAT(findings, SizeIs(1));
    EXPECT_THAT(findings[0].ranks, ElementsAre(2));
    EXPECT_THAT(findings[0].what, AllOf(HasSubstr("0.2 GB/s"), HasSubstr("others 5 GB/s")));
  }
}

TEST(Examine, ASlowLinkNamesBothItsEnds) {
  const auto processes = cluster(8, 4, 16, 4);
  auto pairs = ring(32, 5);
  for (int rank = 3; rank < 32; rank += 4) pairs[rank].bytes_per_second = 1e9;  // between hosts
  EXPECT_THAT(examine_exchange(pairs, seats_of(processes)), IsEmpty());
  pairs[11].bytes_per_second = 0.1e9;
  const auto findings = examine_exchange(pairs, seats_of(processes));
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_THAT(findings[0].ranks, ElementsAre(11, 12));
  EXPECT_THAT(line(processes, findings[0]), HasSubstr("rank 11 on n3, rank 12 on n4"));
}

TEST(Examine, TwoRanksAreComparedWithAFloor) {
  const auto seats = seats_of(cluster(1, 2, 4, 2));
  EXPECT_THAT(examine_exchange(ring(2, 1), seats), IsEmpty());
  const auto findings = examine_exchange(ring(2, 0.02), seats);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_THAT(findings[0].ranks, ElementsAre(0, 1));
  EXPECT_THAT(examine_exchange(ring(2, 0.02), seats_of(cluster(2, 1, 4, 2))), IsEmpty())
      << "between hosts that is a slow network, not a fault";
}

}  // namespace
}  // namespace seqrank
