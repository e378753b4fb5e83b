// Checkpoints on a machine that fails: bits flip, files vanish, disks fill, ranks die. The last
// good checkpoint is always found, and whole.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <csignal>
#include <functional>
#include <random>

#include "collective/thread.h"
#include "tests/trainer/checkpoint_support.h"
#include "trainer/checkpoint.h"
#include "trainer/checksum.h"

namespace seqrank {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

class CheckpointFailure : public testing::Test {
 protected:
  // Steps 100 and 200, by two ranks.
  void save_two() {
    with_ranks(2, [&](Communicator& communicator) {
      CheckpointStore store(folder_.path(), communicator);
      save_step(store, communicator, 100);
      save_step(store, communicator, 200);
    });
  }
  std::string file(std::int64_t step, const std::string& name) const {
    return checkpoint_path(folder_.path(), step) + "/" + name;
  }
  // The step that a restart by `ranks` finds and loads bitwise; -1 = none. Fills reports_.
  std::int64_t restart(int ranks = 1) {
    reports_.clear();
    std::int64_t found = -1;
    with_ranks(ranks, [&](Communicator& communicator) {
      CheckpointStore store(folder_.path(), communicator, options());
      const auto state = store.newest_good();
      if (!state) return;
      EXPECT_EQ(wrong_after_load(store, communicator, state->step), 0);
      if (communicator.rank() == 0) found = state->step;
    });
    return found;
  }
  CheckpointOptions options(const std::string& faults = "",
                            SaveFailure on_failure = SaveFailure::warn) {
    CheckpointOptions options;
    options.report = [this](const std::string& line) { reports_.push_back(line); };
    options.faults = FaultPlan::parse(faults);
    options.on_failure = on_failure;
    return options;
  }

  Scratch folder_;
  std::vector<std::string> reports_;
};

TEST_F(CheckpointFailure, EveryFlippedBitIsSeenAndNamed) {
  save_two();
  std::mt19937 random(7);
  for (int trial = 0; trial < 1000; ++trial) {
    const std::string name =
        std::vector<std::string>{"manifest.json", "shard-00000.h5", "shard-00001.h5"}[random() % 3];
    const std::string path = file(200, name), bytes = read_file(path);
    std::string flipped = bytes;
    const std::size_t bit = random() % (bytes.size() * 8);
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    write_file(path, flipped);
    ASSERT_EQ(restart(), 100) << name << " bit " << bit;
    ASSERT_EQ(reports_.size(), 1u);
    ASSERT_THAT(reports_[0], HasSubstr(path));
    ASSERT_THAT(reports_[0], HasSubstr("sum"));
    write_file(path, bytes);
  }
  EXPECT_EQ(restart(), 200);
}

TEST_F(CheckpointFailure, DamageInATensorIsNamedWithItsRangeAndBothSums) {
  save_two();
  const std::string path = file(200, "shard-00001.h5");
  std::string bytes = read_file(path);
  const std::uint32_t bits = test_bits("items/m", 502 + 10, 200);
  const auto at = bytes.find(std::string(reinterpret_cast<const char*>(&bits), 4));
  ASSERT_NE(at, std::string::npos);
  bytes[at] = static_cast<char>(bytes[at] ^ 1);
  write_file(path, bytes);
  EXPECT_EQ(restart(2), 100);
  ASSERT_EQ(reports_.size(), 1u);
  EXPECT_THAT(reports_[0], testing::ContainsRegex(
                               "step 200 .*shard-00001.h5: sum [0-9a-f]{16}, the manifest says "
                               "[0-9a-f]{16}; damaged is items/m \\[502, 1003\\): sum "
                               "[0-9a-f]{16}, the manifest says [0-9a-f]{16}"));
}

TEST_F(CheckpointFailure, WrongShardsAreSeen) {
  const std::string first = "shard-00000.h5", second = "shard-00001.h5";
  const std::vector<std::function<void()>> deeds = {
      [&] { fs::remove(file(200, second)); },
      [&] { fs::resize_file(file(200, second), fs::file_size(file(200, second)) - 1); },
      [&] { fs::resize_file(file(200, second), 0); },
      [&] { fs::resize_file(file(200, second), fs::file_size(file(200, second)) + 1); },
      [&] {
        fs::copy_file(file(100, second), file(200, second), fs::copy_options::overwrite_existing);
      },
      [&] {
        fs::rename(file(200, first), file(200, "x"));
        fs::rename(file(200, second), file(200, first));
        fs::rename(file(200, "x"), file(200, second));
      },
      [&] {  // also a whole file, if it lies elsewhere
        fs::rename(file(200, first), folder_.path() + "/elsewhere");
        fs::create_symlink(folder_.path() + "/elsewhere", file(200, first));
      },
      [&] {
        fs::remove(file(200, first));
        fs::create_directory(file(200, first));
      },
      [&] { fs::remove(file(200, "manifest.json")); },
      [&] { write_file(file(200, "manifest.json"), ""); },
      [&] {
        fs::copy_file(file(100, "manifest.json"), file(200, "manifest.json"),
                      fs::copy_options::overwrite_existing);
      },
  };
  for (std::size_t i = 0; i < deeds.size(); ++i) {
    fs::remove_all(folder_.path());
    save_two();
    deeds[i]();
    EXPECT_EQ(restart(1 + static_cast<int>(i) % 3), 100) << "deed " << i;
    ASSERT_EQ(reports_.size(), 1u) << "deed " << i;
    EXPECT_THAT(reports_[0], HasSubstr("step-00000200")) << "deed " << i;
  }
}

TEST_F(CheckpointFailure, DamageAfterVerifyingIsSeenBeforeUse) {
  save_two();
  with_ranks(2, [&](Communicator& communicator) {
    CheckpointStore store(folder_.path(), communicator);
    ASSERT_EQ(store.newest_good()->step, 200);
    communicator.barrier();
    if (communicator.rank() == 0) {
      const std::string path = file(200, "shard-00000.h5");
      std::string bytes = read_file(path);
      for (char& byte : bytes) byte = static_cast<char>(~byte);
      write_file(path, bytes);
    }
    communicator.barrier();
    EXPECT_THROW(wrong_after_load(store, communicator, 200), Error);
  });
}

TEST_F(CheckpointFailure, ANewerFormatIsNotPassedOver) {
  save_two();
  // Written by hand, as the newer program would: its sum holds.
  const std::string body = "{\"format\": \"seqrank checkpoint\",\n\"version\": 2";
  fs::create_directory(checkpoint_path(folder_.path(), 300));
  write_file(file(300, "manifest.json"),
             body + ",\n\"xxh3\": \"" + sum_text(checksum(body)) + "\"\n}\n");
  with_ranks(2, [&](Communicator& communicator) {
    CheckpointStore store(folder_.path(), communicator);
    EXPECT_THROW(store.newest_good(), NewerFormatError);
  });
}

TEST_F(CheckpointFailure, PruningNeverPrefersTornFolders) {
  save_two();
  for (const std::int64_t step : {150, 250, 260, 400}) {
    fs::create_directory(checkpoint_path(folder_.path(), step));
    write_file(file(step, "shard-00000.h5"), "torn");
  }
  fs::create_directory(folder_.path() + "/step-1");       // not a name of ours
  write_file(folder_.path() + "/step-00000900", "what");  // a file
  const auto communicator = make_null_communicator();
  CheckpointStore store(folder_.path(), *communicator, options());
  EXPECT_EQ(store.newest_good()->step, 200);
  EXPECT_EQ(reports_.size(), 4u);  // 900, 400, 260, 250
  reports_.clear();
  save_step(store, *communicator, 300);
  // 100 is the best; 400 and 900 are newer than any good one.
  EXPECT_THAT(checkpoint_steps(folder_.path()), ElementsAre(900, 400, 300, 200, 100));
  EXPECT_EQ(reports_.size(), 3u);
  save_step(store, *communicator, 400);  // in the place of the torn one
  EXPECT_EQ(restart(), 400);
  EXPECT_THAT(checkpoint_steps(folder_.path()), ElementsAre(900, 400, 300, 100));
  EXPECT_TRUE(fs::exists(folder_.path() + "/step-1"));
}

TEST_F(CheckpointFailure, ADamagedCheckpointDoesNotCountAsKept) {
  save_two();
  const std::string path = file(200, "shard-00000.h5");
  std::string bytes = read_file(path);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 4);
  write_file(path, bytes);
  const auto communicator = make_null_communicator();
  CheckpointStore store(folder_.path(), *communicator, options());
  ASSERT_EQ(store.newest_good()->step, 100);
  save_step(store, *communicator, 300);
  EXPECT_THAT(checkpoint_steps(folder_.path()), ElementsAre(300, 100));
}

TEST_F(CheckpointFailure, OneRanksFailureIsAgreedAndTrainingGoesOn) {
  save_two();
  for (const char* fault :
       {"checkpoint.before_shard:rank=1:fail", "checkpoint.after_shard_write:rank=2:fail",
        "checkpoint.before_manifest:rank=0:fail", "checkpoint.after_manifest_fsync:fail"}) {
    reports_.clear();
    with_ranks(3, [&](Communicator& communicator) {
      {
        CheckpointStore store(folder_.path(), communicator, options(fault));
        EXPECT_EQ(store.newest_good()->step, 200);
        save_step(store, communicator, 300);
        EXPECT_EQ(store.last_committed(), -1);
      }
      communicator.barrier();
      EXPECT_FALSE(fs::exists(checkpoint_path(folder_.path(), 300)));
      communicator.barrier();
      CheckpointStore store(folder_.path(), communicator, options(fault, SaveFailure::stop));
      try {
        save_step(store, communicator, 300);
        ADD_FAILURE() << fault;
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::checkpoint);
        EXPECT_THAT(error.what(), testing::ContainsRegex("save of step 300 failed: rank [012]: "));
      }
    });
    EXPECT_EQ(reports_.size(), 2u) << fault;
    EXPECT_EQ(restart(), 200) << fault;
  }
}

TEST_F(CheckpointFailure, AFailedSaveIsFollowedByAGoodOne) {
  save_two();
  with_ranks(2, [&](Communicator& communicator) {
    CheckpointStore store(folder_.path(), communicator, options());
    Arena arena;
    std::vector<TensorPiece> pieces = make_pieces(arena, communicator);
    fill(pieces, 300);
    pieces[0].total = pieces[0].total + 1;  // does not cover its tensor: refused by rank 0
    store.begin_save(make_state(300), pieces);
    store.finish_save();
    EXPECT_EQ(store.last_committed(), -1);
    save_step(store, communicator, 400);
    EXPECT_EQ(store.last_committed(), 400);
  });
  ASSERT_EQ(reports_.size(), 1u);
  EXPECT_THAT(reports_[0], HasSubstr("items/weight"));
  EXPECT_EQ(restart(), 400);
}

TEST_F(CheckpointFailure, AFolderThatCannotBeWrittenIsAgreed) {
  write_file(folder_.path() + "/file", "");
  with_ranks(2, [&](Communicator& communicator) {
    CheckpointStore store(folder_.path() + "/file/checkpoints", communicator, options());
    save_step(store, communicator, 100);
    EXPECT_FALSE(store.saving());
  });
  ASSERT_EQ(reports_.size(), 1u);
  EXPECT_THAT(reports_[0], HasSubstr("save of step 100 failed: rank 0: "));
}

// Runs `body` in a child process; gives how that ended, as waitpid() says.
int in_child(const std::function<void()>& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    body();
    ::_exit(testing::Test::HasFailure() ? 1 : 0);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  return status;
}

// A file size limit fails like a full disk and needs no privileges.
TEST_F(CheckpointFailure, AFullDiskIsAgreed) {
  save_two();
  for (const rlim_t bytes : {rlim_t{0}, rlim_t{512}, rlim_t{10'000}}) {
    const int status = in_child([&] {
      std::signal(SIGXFSZ, SIG_IGN);
      with_ranks(2, [&](Communicator& communicator) {
        CheckpointStore store(folder_.path(), communicator, options());
        const rlimit small = {bytes, RLIM_INFINITY}, large = {RLIM_INFINITY, RLIM_INFINITY};
        if (communicator.rank() == 0) ::setrlimit(RLIMIT_FSIZE, &small);
        communicator.barrier();
        save_step(store, communicator, 300);
        EXPECT_EQ(store.last_committed(), -1);
        communicator.barrier();
        if (communicator.rank() == 0) ::setrlimit(RLIMIT_FSIZE, &large);
        communicator.barrier();
        save_step(store, communicator, 400);  // somebody made room
        EXPECT_EQ(store.last_committed(), 400);
      });
      EXPECT_EQ(reports_.size(), 1u);
      EXPECT_THAT(reports_.at(0), testing::ContainsRegex("save of step 300 failed: rank [01]: .*"
                                                         "too large"));
    });
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << bytes << ": " << status;
    EXPECT_EQ(restart(), 400);
    fs::remove_all(folder_.path());
    save_two();
  }
}

TEST_F(CheckpointFailure, KilledAnywhereTheLastCommittedIsFound) {
  const struct {
    const char* fault;
    std::int64_t found;
  } cases[] = {
      {"checkpoint.before_shard:rank=0:kill", 200},
      {"checkpoint.after_shard_write:rank=1:kill", 200},
      {"checkpoint.after_shard_fsync:rank=1:kill", 200},
      {"checkpoint.before_manifest:kill", 200},
      {"checkpoint.after_manifest_fsync:kill", 200},
      {"checkpoint.after_manifest_rename:kill", 300},
  };
  for (const auto& c : cases) {
    save_two();
    const int status = in_child([&] {
      with_ranks(2, [&](Communicator& communicator) {
        CheckpointStore store(folder_.path(), communicator, options(c.fault));
        save_step(store, communicator, 300);
      });
    });
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << c.fault;
    EXPECT_EQ(restart(2), c.found) << c.fault;
    EXPECT_EQ(reports_.size(), c.found == 200 ? 1u : 0u) << c.fault;
    with_ranks(2, [&](Communicator& communicator) {  // and training goes on over the leftovers
      CheckpointStore store(folder_.path(), communicator, options());
      store.newest_good();
      save_step(store, communicator, 300);
      save_step(store, communicator, 400);
    });
    EXPECT_EQ(restart(3), 400) << c.fault;
    fs::remove_all(folder_.path());
  }
}

TEST_F(CheckpointFailure, KilledWhilePruningLosesOnlyWhatWasToGo) {
  with_ranks(2, [&](Communicator& communicator) {
    CheckpointStore store(folder_.path(), communicator);
    for (const std::int64_t step : {200, 300}) save_step(store, communicator, step);
  });
  const int status = in_child([&] {
    with_ranks(2, [&](Communicator& communicator) {
      CheckpointStore store(folder_.path(), communicator, options("checkpoint.mid_prune:kill"));
      save_step(store, communicator, 400);
    });
  });
  ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  EXPECT_EQ(restart(), 400);
  EXPECT_THAT(checkpoint_steps(folder_.path()), ElementsAre(400, 300, 200));  // 200 lies torn
}

}  // namespace
}  // namespace seqrank
