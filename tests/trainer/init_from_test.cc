// A run that starts from another's weights: items by key between data sets that number them
// differently, on other numbers of ranks, and what is told of the rest.
#include "trainer/init_from.h"

#include "data/dataset_writer.h"
#include "tests/trainer/train_support.h"
#include "trainer/catalogue.h"

namespace seqrank {
namespace {

using Weights = std::map<std::string, std::vector<float>>;
constexpr int kWidth = 8;

// 40 sequences over the items of these keys, in order of id; without `keyed` the file has no keys.
// With scenes of these names where there are any, and as many kinds of items, called likewise.
void write_data(const std::string& path, const std::vector<std::string>& keys, bool keyed = true,
                const std::vector<std::string>& scenes = {}) {
  DatasetWriter writer(path);
  const int items = static_cast<int>(keys.size());
  for (int s = 0; s < 40; ++s) {
    std::vector<std::int32_t> sequence;
    for (int t = 0; t < 8; ++t) sequence.push_back((s * 7 + t * t) % items);
    writer.add_sequence(sequence, {});
    writer.append("/event/label", std::vector<std::uint8_t>{1, 0, 0, 1, 1, 0, 1, 0});
  }
  for (const std::string& key : keys)
    if (keyed) writer.add_item_key(key);
  std::vector<std::int32_t> scene_of(scenes.empty() ? 0 : 40 * 8);
  for (std::size_t i = 0; i < scene_of.size(); ++i)
    scene_of[i] = static_cast<std::int32_t>(i % scenes.size());
  if (!scenes.empty()) {
    writer.append("/event/domain", scene_of);
    writer.append("/item/feature/interest", std::span<const std::int32_t>(scene_of).first(items));
  }
  for (const char* place : {"/domain/name", "/item/feature_values/interest"})
    for (const std::string& name : scenes) writer.append_text(place, name);
  writer.finish(items);
}

std::vector<std::string> keys_from(int begin, int end) {
  std::vector<std::string> keys;
  for (int i = begin; i < end; ++i) keys.push_back(fmt::format("key {}", i));
  return keys;
}

bool same(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

class InitFrom : public Train {
 protected:
  // Source: 30 items. Target: 20 of them from the last to the first, between them 6 new ones.
  InitFrom() {
    write_data(path("source.h5"), source_keys_);
    for (int i = 29; i >= 10; --i) {
      target_keys_.push_back(source_keys_[i]);
      if (i % 3 == 0) target_keys_.push_back(fmt::format("new {}", i));
    }
    write_data(path("target.h5"), target_keys_);
  }
  std::string path(const std::string& name) const { return temp_.path() + "/" + name; }

  Settings source(const Settings& more = {}) const {
    Settings settings = {{"data", path("source.h5")}, {"train.steps", "6"}, {"train.warmup", "0"}};
    for (const auto& [key, value] : more) settings[key] = value;
    return settings;
  }
  // One step that changes nothing: its checkpoint holds what the run started with.
  Settings target(const Settings& more = {}) const {
    Settings settings = {{"data", path("target.h5")},
                         {"train.seed", "5"},
                         {"train.steps", "1"},
                         {"train.learning_rate", "0"},
                         {"train.init_from", path("source")}};
    for (const auto& [key, value] : more) settings[key] = value;
    return settings;
  }
  Weights initial(const Settings& settings) {
    const Options given = options("initial", settings);
    Context ctx(Device::cpu, 1);
    ParameterStore parameters;
    find_model("attention_rnn")
        .make({given, Dataset::open(given.text("data")).items(), parameters});
    parameters.allocate(ctx, 5);
    Weights result;
    for (const Parameter& p : parameters.parameters()) {
      const auto values = p.value().span<float>();
      result[p.name].assign(values.begin(), values.end());
    }
    return result;
  }
  // The items' vectors as a checkpoint has them, of any model.
  std::vector<float> table(const std::string& name, std::int64_t step, std::int64_t rows) const {
    const auto comm = make_null_communicator();
    CheckpointStore store(path(name) + "/checkpoints", *comm);
    Arena arena;
    const std::int64_t n = rows * kWidth;
    std::vector<TensorPiece> piece = {
        {"items/weight", 0, n, n, Tensor(arena, DType::f32, {n}, Tag::workspace)}};
    store.load(step, piece);
    const auto values = piece[0].data.span<float>();
    return {values.begin(), values.end()};
  }
  void expect_rows(const std::string& table, const Weights& there, const Weights& here,
                   std::span<const float> fresh_VD) {
    for (std::size_t item = 0; item < target_keys_.size(); ++item) {
      const auto row = std::span(here.at(table)).subspan(item * kWidth, kWidth);
      const auto from = std::ranges::find(source_keys_, target_keys_[item]) - source_keys_.begin();
      const bool known = target_keys_[item].starts_with("key");
      EXPECT_TRUE(same(row, known ? std::span(there.at(table)).subspan(from * kWidth, kWidth)
                                  : fresh_VD.subspan(item * kWidth, kWidth)))
          << table << ", " << target_keys_[item];
    }
  }
  std::string refusal(const Settings& settings) {
    try {
      run(2, "refused", settings);
    } catch (const Error& error) {
      EXPECT_EQ(error.exit_code(), 6);
      return error.what();
    }
    return "";
  }

  std::vector<std::string> source_keys_ = keys_from(0, 30), target_keys_;
};

TEST_F(InitFrom, ItemsByKeyAndTheRestByNameFromAndOnAnyNumberOfRanks) {
  for (const char* tied : {"yes", "no"})
    for (const auto& [ranks_there, ranks_here] : {std::pair(1, 3), {3, 1}, {3, 3}}) {
      SCOPED_TRACE(fmt::format("tied {}, {} ranks, then {}", tied, ranks_there, ranks_here));
      std::filesystem::remove_all(path("source"));
      std::filesystem::remove_all(path("target"));
      write_data(path("source.h5"), source_keys_);
      run(ranks_there, "source", source({{"model.tied", tied}}));
      const Weights there = weights("source", 6, source({{"model.tied", tied}}));
      std::filesystem::remove(path("source.h5"));  // its keys are in the run folder
      const Settings settings = target({{"model.tied", tied}});
      run(ranks_here, "target", settings);
      const Weights here = weights("target", 1, settings), fresh = initial(settings);
      for (const auto& [name, values] : here)
        if (name.starts_with("items"))
          expect_rows(name, there, here, fresh.at(name));
        else
          EXPECT_TRUE(same(values, there.at(name))) << name;
      EXPECT_EQ(saved("target").step, 1);
      EXPECT_THAT(read_file(path("target/log.txt")),
                  testing::AllOf(testing::HasSubstr("source at step 6: "),
                                 testing::HasSubstr("20 of 26 items taken over by key, of 30"),
                                 testing::HasSubstr("initial values: new 27, new 24")));
    }
}

TEST_F(InitFrom, NewItemsHaveTheMeanWhereAsked) {
  run(2, "source", source());
  const Settings settings = target({{"train.init_items", "mean"}});
  run(3, "target", settings);
  const Weights there = weights("source", 6, source());
  std::vector<float> mean_VD(target_keys_.size() * kWidth);
  for (std::size_t i = 0; i < mean_VD.size(); ++i) {
    double sum = 0;
    for (int item = 29; item >= 10; --item) sum += there.at("items")[item * kWidth + i % kWidth];
    mean_VD[i] = static_cast<float>(sum / 20);
  }
  expect_rows("items", there, weights("target", 1, settings), mean_VD);
}

TEST_F(InitFrom, TheBestCheckpointOrTheOneThatIsNamed) {
  run(1, "source",
      source({{"train.save_every", "2"}, {"train.keep", "9"}, {"train.evaluate_every", "1"}}));
  const std::int64_t best = saved("source").best_step;
  run(1, "best", target());
  EXPECT_TRUE(same(weights("best", 1, target()).at("output.w"),
                   weights("source", best, source()).at("output.w")));
  for (const char* slash : {"", "/"}) {
    const Settings settings =
        target({{"train.init_from", path("source/checkpoints/step-00000002") + slash}});
    std::filesystem::remove_all(path("two"));
    run(1, "two", settings);
    EXPECT_TRUE(same(weights("two", 1, settings).at("output.w"),
                     weights("source", 2, source()).at("output.w")));
  }
}

TEST_F(InitFrom, AResumedRunReadsItsOwnCheckpointAndNeedsTheSourceNoMore) {
  run(2, "source", source());
  Settings settings =
      target({{"train.steps", "20"}, {"train.learning_rate", "0.01"}, {"train.freeze", "rnn.*"}});
  run(3, "whole", settings);
  Settings half = settings;
  half["train.stop_at_step"] = "9";
  run(3, "parts", half);
  std::filesystem::remove_all(path("source"));
  run(3, "parts", settings);
  EXPECT_EQ(losses("whole"), losses("parts"));
  EXPECT_EQ(weights("whole", 20, settings), weights("parts", 20, settings));
}

TEST_F(InitFrom, ItemsThatAreNumberedAlikeNeedNoKeys) {
  write_data(path("keyless.h5"), source_keys_, false);
  for (const char* data : {"source.h5", "keyless.h5"}) {
    std::filesystem::remove_all(path("source"));
    run(1, "source", source({{"data", path(data)}}));
    EXPECT_EQ(std::filesystem::remove(path("source/items.h5")), std::string(data) == "source.h5");
    const Settings settings = target({{"data", path(data)}});
    const std::string name = std::string("like ") + data;
    run(2, name, settings);
    EXPECT_EQ(weights(name, 1, settings), weights("source", 6, settings));
  }
}

// sasrec has no row for the mask, which lies behind the items in the table of bert4rec.
TEST_F(InitFrom, RowsBehindTheItemsFollowInOrderOrStayAsTheyWere) {
  const Settings masked = {{"model.name", "bert4rec"}, {"model.blocks", "1"}, {"model.heads", "1"}};
  const Settings plain = {{"model.name", "sasrec"}, {"model.blocks", "1"}};
  const auto mask_of = [](const std::vector<float>& table_VD) {
    return std::vector<float>(table_VD.end() - kWidth, table_VD.end());
  };
  run(2, "source", source(masked));
  run(2, "masked", target(masked));
  run(2, "plain", target(plain));
  const Weights there = {{"items", table("source", 6, 31)}};
  const std::vector<float> from_masked = table("masked", 1, 27), to_plain = table("plain", 1, 26);
  expect_rows("items", there, {{"items", from_masked}}, initial(target()).at("items"));
  expect_rows("items", there, {{"items", to_plain}}, initial(target()).at("items"));
  EXPECT_EQ(mask_of(from_masked), mask_of(there.at("items")));

  std::filesystem::remove_all(path("source"));
  std::filesystem::remove_all(path("masked"));
  run(2, "source", source(plain));
  Settings fresh = target(masked);
  fresh.erase("train.init_from");
  run(2, "fresh", fresh);
  run(2, "masked", target(masked));
  const std::vector<float> from_plain = table("masked", 1, 27);
  expect_rows("items", {{"items", table("source", 6, 30)}}, {{"items", from_plain}},
              initial(target()).at("items"));
  EXPECT_EQ(mask_of(from_plain), mask_of(table("fresh", 1, 27)));
}

TEST_F(InitFrom, ItemsOfClickModelsGoByKeyToo) {
  for (const char* model : {"din", "target_attention"}) {
    SCOPED_TRACE(model);
    for (const char* run : {"source", "target", "fresh"}) std::filesystem::remove_all(path(run));
    const Settings clicks = {{"model.name", model}};
    run(2, "source", source(clicks));
    Settings fresh = target(clicks);
    fresh.erase("train.init_from");
    run(1, "fresh", fresh);
    run(3, "target", target(clicks));
    expect_rows("items", {{"items", table("source", 6, 30)}}, {{"items", table("target", 1, 26)}},
                table("fresh", 1, 26));
    EXPECT_THAT(read_file(path("target/log.txt")),
                testing::HasSubstr("20 of 26 items taken over by key, of 30"));
  }
}

TEST_F(InitFrom, WhatDoesNotFitIsLeftAsItWasAndTold) {
  run(1, "source", source({{"model.tied", "no"}, {"model.pooling", "last"}}));
  write_data(path("keyless.h5"), target_keys_, false);
  const Settings settings =
      target({{"data", path("keyless.h5")}, {"model.layers", "2"}, {"model.skip", "no"}});
  run(2, "target", settings);
  const Weights here = weights("target", 1, settings), fresh = initial(settings);
  for (const char* name : {"items", "output.w"})
    EXPECT_TRUE(same(here.at(name), fresh.at(name))) << name;
  EXPECT_FALSE(same(here.at("output.b"), fresh.at("output.b")));
  EXPECT_THAT(read_file(path("target/log.txt")),
              testing::AllOf(testing::HasSubstr("items (other data, and items without keys)"),
                             testing::HasSubstr("output.w ([8, 16] there, [8, 8] wanted)"),
                             testing::HasSubstr("not used of it: items_out"),
                             testing::ContainsRegex("rnn.1.[a-z_]+ \\(not there\\)")));
}

// Both have position's table, which has no names.
TEST_F(InitFrom, RowsOfValuesThatAreNumberedOtherwiseAreNotTakenOver) {
  const Settings scenes = {{"model.name", "sasrec"}, {"model.input", "position,domain"}};
  const Settings interests = {{"model.name", "interest_transfer"}};
  write_data(path("source.h5"), source_keys_, true, {"a", "b", "c"});
  for (const Settings& form : {scenes, interests})
    for (const bool alike : {true, false}) {
      for (const char* run : {"source", "target"}) std::filesystem::remove_all(path(run));
      write_data(path("target.h5"), target_keys_, true,
                 alike ? std::vector<std::string>{"a", "b", "c"}
                       : std::vector<std::string>{"a", "c", "b"});
      run(1, "source", source(form));
      run(2, "target", target(form));
      const std::string log = read_file(path("target/log.txt"));
      const auto told = [&](const std::string& name, const std::string& column) {
        return log.find(fmt::format("{} (values of {} are numbered otherwise there)", name,
                                    column)) != std::string::npos;
      };
      if (form == scenes) {
        EXPECT_EQ(told("input.domain", "domain"), !alike) << log;
      } else {
        for (const char* name :
             {"interest.label.w", "interest.label.b", "transition.from", "transition.next"})
          EXPECT_EQ(told(name, "item.interest"), !alike) << log;
      }
      EXPECT_EQ(log.find("input.position"), std::string::npos) << log;
      EXPECT_THAT(log, testing::HasSubstr("20 of 26 items taken over by key, of 30"));
    }
}

TEST_F(InitFrom, RefusesWhatIsNotThereOrDoesNotFitAtAll) {
  EXPECT_THAT(refusal(target()), testing::HasSubstr("there is no such run"));
  std::filesystem::create_directory(path("source"));
  EXPECT_THAT(refusal(target()), testing::HasSubstr("no good checkpoint in it"));
  run(1, "source", source());
  EXPECT_THAT(refusal(target({{"train.init_from", path("source/checkpoints/step-00000003")}})),
              testing::HasSubstr("step-00000003"));
  EXPECT_THAT(refusal(target({{"model.width", "6"}})),
              testing::AllOf(testing::HasSubstr("nothing of it fits this model"),
                             testing::HasSubstr("items ([30, 8] there, [30, 6] wanted)")));
  write_catalogue(path("source/items.h5"), Dataset::open(path("target.h5")));
  EXPECT_THAT(refusal(target()), testing::HasSubstr("keys of other items than the checkpoint's"));
  std::filesystem::remove(path("source/items.h5"));
  EXPECT_THAT(refusal(target()), testing::HasSubstr("the keys of its items are needed"));
}

TEST_F(InitFrom, TheCatalogueOfARunIsADataSetOfKeysAlone) {
  run(2, "source", source());
  const Dataset catalogue = Dataset::open(path("source/items.h5"));
  EXPECT_EQ(catalogue.items(), 30);
  EXPECT_EQ(catalogue.sequences(), 0);
  EXPECT_EQ(catalogue.item_key(29), "key 29");
  EXPECT_EQ(catalogue.item_fingerprint(), saved("source").item_fingerprint);
  const auto nowhere = path("none.h5");
  write_data(path("keyless.h5"), source_keys_, false);
  write_catalogue(nowhere, Dataset::open(path("keyless.h5")));
  EXPECT_FALSE(std::filesystem::exists(nowhere));
}

}  // namespace
}  // namespace seqrank
