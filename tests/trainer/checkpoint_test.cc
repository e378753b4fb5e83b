// Saving, finding, comparing, pruning and loading checkpoints where nothing goes wrong with the
// machine; what does is in checkpoint_failure_test.cc.
#include "trainer/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <limits>

#include "collective/thread.h"
#include "data/hdf5.h"
#include "tests/trainer/checkpoint_support.h"

namespace seqrank {
namespace {

namespace fs = std::filesystem;

TEST(Checkpoint, AnyNumberOfRanksReadsWhatAnyOtherWrote) {
  for (const int writers : {1, 2, 3, 4}) {
    Scratch folder;
    with_ranks(writers, [&](Communicator& communicator) {
      CheckpointStore store(folder.path(), communicator);
      save_step(store, communicator, 100);
    });
    for (const int readers : {1, 2, 3, 4, 6}) {
      with_ranks(readers, [&](Communicator& communicator) {
        CheckpointStore store(folder.path(), communicator);
        const auto state = store.newest_good();
        ASSERT_TRUE(state.has_value());
        EXPECT_EQ(state->step, 100);
        EXPECT_EQ(wrong_after_load(store, communicator, 100), 0) << writers << " to " << readers;
      });
    }
  }
}

TEST(Checkpoint, EveryRankMayWantWholeTensorsAndOthersNothing) {
  Scratch folder;
  with_ranks(3, [&](Communicator& communicator) {
    CheckpointStore store(folder.path(), communicator);
    save_step(store, communicator, 100);
  });
  with_ranks(2, [&](Communicator& communicator) {
    CheckpointStore store(folder.path(), communicator);
    Arena arena;
    std::vector<TensorPiece> wanted;
    if (communicator.rank() == 0) {
      wanted.push_back(make_piece(arena, {"items/weight", 1003}, 0, 1003));
      wanted.push_back(make_piece(arena, {"items/weight", 1003}, 333, 336));  // over a seam
      wanted.push_back(make_piece(arena, {"bias/weight", 3}, 1, 1));
    }
    store.load(100, wanted);
    EXPECT_EQ(wrong_elements(wanted, 100), 0);
  });
}

TEST(Checkpoint, PiecesLargerThanABlockAreReadWhole) {
  Scratch folder;
  const auto communicator = make_null_communicator();
  CheckpointStore store(folder.path(), *communicator);
  Arena arena;
  const std::int64_t n = 2'500'000;  // 10 MB: two and a half blocks
  std::vector<TensorPiece> saved;
  saved.push_back(make_piece(arena, {"large/weight", n}, 0, n));
  fill(saved, 1);
  store.begin_save(make_state(1), saved);
  store.finish_save();
  std::vector<TensorPiece> wanted;
  wanted.push_back(make_piece(arena, {"large/weight", n}, 1'000'000, 2'200'000));
  store.load(1, wanted);
  EXPECT_EQ(wrong_elements(wanted, 1), 0);
}

TEST(Checkpoint, StateComesBackBitwise) {
  for (const double best : {0.1 + 0.2, -std::numeric_limits<double>::infinity(), -0.0, 5e-324,
                            1.7976931348623157e308}) {
    Scratch folder;
    const auto communicator = make_null_communicator();
    CheckpointStore store(folder.path(), *communicator);
    TrainingState state = make_state(7);
    state.best_value = best;
    store.begin_save(state, {});
    store.finish_save();
    CheckpointStore reader(folder.path(), *communicator);
    const auto back = reader.newest_good();
    ASSERT_TRUE(back.has_value());
    EXPECT_EQ(std::bit_cast<std::uint64_t>(back->best_value), std::bit_cast<std::uint64_t>(best));
    EXPECT_EQ(back->step, state.step);
    EXPECT_EQ(back->skipped_steps, state.skipped_steps);
    EXPECT_EQ(back->seed, state.seed);
    EXPECT_EQ(back->best_step, state.best_step);
    EXPECT_EQ(back->evaluations_without_gain, state.evaluations_without_gain);
    EXPECT_EQ(back->metrics_bytes, state.metrics_bytes);
    EXPECT_EQ(back->dataset_fingerprint, state.dataset_fingerprint);
    EXPECT_EQ(back->config, state.config);
  }
}

TEST(Checkpoint, TrainingGoesOnWhileItIsWritten) {
  Scratch folder;
  with_ranks(2, [&](Communicator& communicator) {
    CheckpointOptions options;
    options.faults = FaultPlan::parse("checkpoint.before_shard:sleep=50");
    CheckpointStore store(folder.path(), communicator, options);
    Arena arena;
    std::vector<TensorPiece> pieces = make_pieces(arena, communicator);
    fill(pieces, 100);
    store.begin_save(make_state(100), pieces);
    EXPECT_TRUE(store.saving());
    fill(pieces, 101);  // the next step changes every parameter
    store.finish_save();
    EXPECT_FALSE(store.saving());
    EXPECT_EQ(store.last_committed(), 100);
    EXPECT_EQ(wrong_after_load(store, communicator, 100), 0);
  });
}

TEST(Checkpoint, TheNextSaveFinishesTheOneBefore) {
  Scratch folder;
  with_ranks(2, [&](Communicator& communicator) {
    CheckpointOptions options;
    options.faults = FaultPlan::parse("checkpoint.after_shard_write:rank=1:sleep=50");
    CheckpointStore store(folder.path(), communicator, options);
    Arena arena;
    std::vector<TensorPiece> pieces = make_pieces(arena, communicator);
    for (const std::int64_t step : {100, 200}) {
      fill(pieces, step);
      store.begin_save(make_state(step), pieces);
    }
    EXPECT_EQ(store.last_committed(), 100);
    store.finish_save();
    EXPECT_EQ(store.newest_good()->step, 200);
    EXPECT_EQ(wrong_after_load(store, communicator, 100), 0);
    EXPECT_EQ(wrong_after_load(store, communicator, 200), 0);
  });
}

TEST(Checkpoint, AStepIsNotWrittenTwice) {
  Scratch folder;
  const auto communicator = make_null_communicator();
  CheckpointStore store(folder.path(), *communicator);
  save_step(store, *communicator, 100);
  const std::string shard = checkpoint_path(folder.path(), 100) + "/shard-00000.h5";
  const auto written = fs::last_write_time(shard);
  save_step(store, *communicator, 100);
  CheckpointStore resumed(folder.path(), *communicator);
  EXPECT_EQ(resumed.newest_good()->step, 100);
  save_step(resumed, *communicator, 100);
  EXPECT_EQ(fs::last_write_time(shard), written);
}

TEST(Checkpoint, NothingSavedIsNothingFound) {
  Scratch folder;
  with_ranks(2, [&](Communicator& communicator) {
    CheckpointStore store(folder.path() + "/absent", communicator);
    EXPECT_FALSE(store.newest_good().has_value());
    EXPECT_FALSE(store.best_good().has_value());
    store.finish_save();
  });
}

TEST(Checkpoint, ShardsAreOrdinaryHdf5) {
  Scratch folder;
  with_ranks(2, [&](Communicator& communicator) {
    CheckpointStore store(folder.path(), communicator);
    save_step(store, communicator, 100);
  });
  const std::string path = checkpoint_path(folder.path(), 100) + "/shard-00001.h5";
  const hdf5::FileId file = hdf5::open_read_only(path);
  EXPECT_EQ(hdf5::read_attributes(file, path).numbers.at("step"), 100);
  const hdf5::DatasetId set(H5Dopen2(file.get(), "items/weight", H5P_DEFAULT));
  ASSERT_TRUE(static_cast<bool>(set));
  std::vector<std::uint32_t> bits(501);  // the shorter piece of 1003
  ASSERT_EQ(H5Sget_simple_extent_npoints(hdf5::SpaceId(H5Dget_space(set.get())).get()), 501);
  ASSERT_GE(H5Dread(set.get(), H5T_IEEE_F32LE, H5S_ALL, H5S_ALL, H5P_DEFAULT, bits.data()), 0);
  for (std::int64_t i = 0; i < 501; ++i)
    ASSERT_EQ(bits[static_cast<std::size_t>(i)], test_bits("items/weight", 502 + i, 100));
}

TEST(Checkpoint, KeepsTheLastAndTheBest) {
  Scratch folder;
  const auto communicator = make_null_communicator();
  CheckpointStore store(folder.path(), *communicator);
  for (const std::int64_t step : {100, 200, 300, 400})  // best_step is 100
    save_step(store, *communicator, step);
  EXPECT_THAT(checkpoint_steps(folder.path()), testing::ElementsAre(400, 300, 100));
  EXPECT_EQ(store.newest_good()->step, 400);
  EXPECT_EQ(store.best_good()->step, 100);
  EXPECT_EQ(wrong_after_load(store, *communicator, 100), 0);
}

TEST(Checkpoint, BestFallsBackToNewest) {
  Scratch folder;
  const auto communicator = make_null_communicator();
  std::vector<std::string> reports;
  CheckpointOptions options;
  options.report = [&](const std::string& line) { reports.push_back(line); };
  CheckpointStore store(folder.path(), *communicator, options);
  save_step(store, *communicator, 200);  // its best step, 100, was never saved
  EXPECT_EQ(store.best_good()->step, 200);
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_THAT(reports[0], testing::HasSubstr("step-00000100"));
}

TEST(Checkpoint, RefusesAnotherModelBeforeLoading) {
  Scratch folder;
  with_ranks(2, [&](Communicator& communicator) {
    CheckpointStore store(folder.path(), communicator);
    save_step(store, communicator, 100);
    const std::vector<std::string> keys = {"model.width", "model.layers"};
    EXPECT_TRUE(store.differences(100, test_tensors(), make_state(0), keys).empty());

    std::vector<TensorTotal> model = test_tensors();
    model[0].total = 1004;             // one more item
    model.back().name = "new/weight";  // another layer
    TrainingState now = make_state(0);
    now.config["model.width"] = "128";
    now.config["data"] = "elsewhere.h5";  // not among the keys
    now.dataset_fingerprint = "f";
    const auto rows = store.differences(100, model, now, keys);
    ASSERT_EQ(rows.size(), 5u);
    EXPECT_EQ(rows[0].what, "model.width");
    EXPECT_EQ(rows[0].saved, "64");
    EXPECT_EQ(rows[0].now, "128");
    EXPECT_EQ(difference_text(rows),
              "model.width: 64 saved, 128 now; data fingerprint: 0123456789abcdef saved, f now; "
              "and 3 tensors");
    EXPECT_EQ(difference_text({&rows[2], 3}),
              "items/weight: 1003 elements saved, 1004 elements now; and 2 tensors");
    const std::vector<Difference> many(10, rows[0]);
    EXPECT_THAT(difference_text(many), testing::EndsWith("128 now; and 2 more"));
  });
}

TEST(Checkpoint, WhatWasNotSavedIsRefusedOnAllRanks) {
  Scratch folder;
  with_ranks(3, [&](Communicator& communicator) {
    CheckpointStore store(folder.path(), communicator);
    save_step(store, communicator, 100);
    Arena arena;
    std::vector<TensorPiece> wanted;
    if (communicator.rank() == 1) wanted.push_back(make_piece(arena, {"other/weight", 5}, 0, 5));
    try {
      store.load(100, wanted);
      ADD_FAILURE() << "rank " << communicator.rank() << " went on";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::checkpoint);
      EXPECT_THAT(error.what(), testing::HasSubstr("rank 1: "));
      EXPECT_THAT(error.what(), testing::HasSubstr("other/weight"));
    }
  });
}

}  // namespace
}  // namespace seqrank
