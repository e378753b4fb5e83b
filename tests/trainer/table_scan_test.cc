// What is served from tables that are dealt out to ranks: the same lists, explanations and vectors
// of new items as from whole tables, ties too.
#include "trainer/table_scan.h"

#include <numeric>

#include "tests/trainer/train_support.h"
#include "trainer/cold_start.h"
#include "trainer/evaluate_lists.h"
#include "trainer/explain.h"
#include "trainer/load_model.h"
#include "trainer/recommend.h"

namespace seqrank {
namespace {

struct World {
  int ranks;
  const char* group;
};
constexpr World kWorlds[] = {{2, "all"}, {4, "all"}, {4, "2"}, {7, "all"}};

struct Serving {
  Context& ctx;
  Communicator& comm;
  const Dataset& dataset;
  LoadedModel& loaded;
};

class ServedSplit : public Train {
 protected:
  // ask() of a run of a few steps: of whole tables, and in every world of each rank.
  template <class Ask, class Expect>
  void compare(const std::string& name, const Settings& settings, Ask ask, Expect expect) {
    Settings all = settings;
    all.insert({"train.steps", "20"});
    run(1, name, all);
    const Dataset dataset = Dataset::open(data_);
    const auto answer = [&](Communicator& comm, const Settings& how) {
      Context ctx(Device::cpu, 1);
      const auto loaded = load_model(ctx, comm, temp_.path() + "/" + name, "", dataset, how,
                                     [](const std::string&) {});
      EXPECT_EQ(static_cast<bool>(loaded->exchange), comm.size() > 1);
      return ask(Serving{ctx, comm, dataset, *loaded});
    };
    const auto one = answer(*make_null_communicator(), {});
    for (const World& world : kWorlds)
      with_ranks(world.ranks, [&](Communicator& comm) {
        expect(one, answer(comm, {{"table.split", "yes"}, {"table.group", world.group}}),
               name + fmt::format(", {} in groups of {}", world.ranks, world.group));
      });
  }

  // The same events, and seven items more that nobody has met.
  void add_new_items() {
    const Dataset from = Dataset::open(data_);
    data_ = temp_.path() + "/newer.h5";
    DatasetWriter writer(data_);
    for (std::int64_t s = 0; s < from.sequences(); ++s) {
      std::vector<std::int32_t> items(from.length(s));
      from.read_items(from.begin(s), items);
      writer.add_sequence(items, {});
    }
    std::vector<std::int32_t> interests;
    for (int v = 0; v < 67; ++v) interests.push_back(v % 5);
    writer.append("/item/feature/interest", interests);
    for (const char* name : {"", "1", "2", "3", "4"})
      writer.append_text("/item/feature_values/interest", name);
    writer.finish(67);
  }

  static std::vector<std::string> users() {
    std::vector<std::string> users;
    for (int i = 0; i < 9; ++i) users.push_back(std::to_string(3 * i));
    return users;
  }
};

void expect_same_lists(const std::vector<Recommendation>& one,
                       const std::vector<Recommendation>& there, const std::string& of) {
  ASSERT_EQ(one.size(), there.size()) << of;
  for (std::size_t u = 0; u < one.size(); ++u) {
    ASSERT_EQ(one[u].items.size(), there[u].items.size()) << of;
    EXPECT_EQ(one[u].recent, there[u].recent);
    for (std::size_t i = 0; i < one[u].items.size(); ++i) {
      ASSERT_EQ(one[u].items[i].item, there[u].items[i].item) << of << ", " << u << ", " << i;
      ASSERT_NEAR(one[u].items[i].score, there[u].items[i].score, 1e-5) << of;
    }
  }
}

const Settings kForms[] = {
    {{"model.item_scale", "0.5"}},
    {{"model.item_scale", "0"}, {"train.learning_rate", "0"}},  // all scores are ties
    {{"model.name", "bert4rec"}, {"model.item_scale", "0.5"}},
    {{"model.score", "cosine"}, {"evaluate.seen", "kept"}},
    {{"model.name", "gru4rec"}, {"model.tied", "no"}, {"model.item_scale", "0.5"}}};

TEST_F(ServedSplit, ListsAreThoseOfWholeTables) {
  for (const Settings& form : kForms) {
    const auto name = fmt::format("form{}", &form - kForms);
    const auto asked = [&](auto change) {
      return [change](const Serving& s) {
        const EvaluateOptions evaluate = evaluate_options_from(s.loaded.options, Split::test);
        RecommendOptions options;
        options.k = 7;
        options.seen = evaluate.seen;
        options.max_length = evaluate.max_length;
        change(options);
        return recommend(s.ctx, *s.loaded.model, s.dataset, people_of(s.dataset, users()), options,
                         s.loaded.exchange.get());
      };
    };
    compare(name, form, asked([](RecommendOptions&) {}), expect_same_lists);
    compare(name, form, asked([](RecommendOptions& o) {
              o.candidates = {{59, 2, 31, 2, 17, 44}};
            }),
            expect_same_lists);
    compare(name, form, asked([](RecommendOptions& o) { o.diversity = 0.4; }), expect_same_lists);
    compare(name, form, asked([](RecommendOptions& o) { o.k = 60; }), expect_same_lists);
  }
}

TEST_F(ServedSplit, TheBestAndTheRanksAreThoseOfAllScores) {
  run(1, "whole", {{"train.steps", "20"}, {"model.item_scale", "0.5"}});
  const Dataset dataset = Dataset::open(data_);
  Context ctx(Device::cpu, 1);
  const auto comm = make_null_communicator();
  const auto loaded =
      load_model(ctx, *comm, temp_.path() + "/whole", "", dataset, {}, [](const std::string&) {});
  const std::vector<std::int64_t> sequences = {4, 9};
  const EvaluationBatch batch = history_batch(dataset, ctx.host_arena(), sequences, 200);
  Tensor score_BV = ctx.empty(DType::f32, {2, 60});
  loaded->model->score_next(ctx, batch.batch, score_BV);
  RecommendOptions options;
  options.k = 60;
  options.seen = Seen::kept;
  const auto best = best_items(ctx, *loaded->model, dataset, dataset, sequences, options);
  for (int b = 0; b < 2; ++b) {
    std::vector<ScoredItem> all;
    for (std::int32_t v = 0; v < 60; ++v) all.push_back({score_BV.data<float>()[b * 60 + v], v});
    std::ranges::sort(all, better);
    ASSERT_EQ(best[b].size(), 60u);
    for (int i = 0; i < 60; ++i) EXPECT_EQ(best[b][i].item, all[i].item);
  }
  TableScan scan(ctx, *state_ranker(*loaded->model), nullptr);
  const Tensor state_BD = scan.own_states(batch.batch);
  for (std::int32_t target = 0; target < 60; ++target) {
    std::vector<Asked> asked(2);
    for (Asked& one : asked) one.target = target;
    scan.answer(state_BD, asked, 0);
    for (int b = 0; b < 2; ++b) EXPECT_EQ(best[b][asked[b].rank - 1].item, target) << asked[b].tied;
  }
}

TEST_F(ServedSplit, ExplanationsAreThoseOfWholeTables) {
  for (const Settings& form : kForms) {
    for (const bool by_key : {false, true}) {
      const auto ask = [&](const Serving& s) {
        return explain(s.ctx, *s.loaded.model, s.dataset, {"3", "10"}, 3,
                       by_key ? std::optional<std::string>("33") : std::nullopt,
                       evaluate_options_from(s.loaded.options, Split::test),
                       s.loaded.exchange.get());
      };
      compare(fmt::format("form{}", &form - kForms), form, ask,
              [](const auto& one, const auto& there, const std::string& of) {
                ASSERT_EQ(one.size(), there.size()) << of;
                for (std::size_t i = 0; i < one.size(); ++i) {
                  EXPECT_EQ(one[i].item.item, there[i].item.item) << of;
                  EXPECT_EQ(one[i].rank, there[i].rank) << of;
                  EXPECT_NEAR(one[i].item.score, there[i].item.score, 1e-5) << of;
                  ASSERT_EQ(one[i].events.size(), there[i].events.size());
                  for (std::size_t e = 0; e < one[i].events.size(); ++e) {
                    EXPECT_NEAR(one[i].events[e].effect, there[i].events[e].effect, 1e-5) << of;
                    ASSERT_EQ(one[i].events[e].attention.has_value(),
                              there[i].events[e].attention.has_value());
                    EXPECT_NEAR(one[i].events[e].attention.value_or(0),
                                there[i].events[e].attention.value_or(0), 1e-5);
                  }
                }
              });
    }
  }
}

TEST_F(ServedSplit, WhatListsAreLikeIsTheSame) {
  for (const Settings& form : kForms) {
    const auto ask = [](const Serving& s) {
      const Protocol protocol(s.dataset, protocol_options_from(s.loaded.options));
      return evaluate_lists(s.ctx, s.comm, *s.loaded.model, protocol,
                            evaluate_options_from(s.loaded.options, Split::test), "interest",
                            s.loaded.exchange.get());
    };
    compare(fmt::format("form{}", &form - kForms), form, ask,
            [](const Metrics& one, const Metrics& there, const std::string& of) {
              ASSERT_EQ(one.size(), there.size());
              for (const auto& [name, value] : one)
                EXPECT_NEAR(there.at(name), value, 1e-9) << of << " " << name;
            });
  }
}

TEST_F(ServedSplit, NewItemsGetTheSameVectorsByTheirFeatures) {
  add_new_items();
  const auto ask = [](const Serving& s) {
    const Protocol protocol(s.dataset, protocol_options_from(s.loaded.options));
    const ColdItems cold = give_vectors_by_features(s.ctx, s.comm, s.loaded.parameters, protocol);
    std::vector<std::int32_t> all(67);
    std::iota(all.begin(), all.end(), 0);
    TableScan scan(s.ctx, *state_ranker(*s.loaded.model), s.loaded.exchange.get());
    const Tensor vector_VD = scan.vectors(all);
    const auto values = vector_VD.span<float>();
    return std::pair(cold.given, std::vector<float>(values.begin(), values.end()));
  };
  for (const Settings& form : kForms)
    compare(fmt::format("form{}", &form - kForms), form, ask,
            [](const auto& one, const auto& there, const std::string& of) {
              EXPECT_EQ(one.first, 5) << of;  // 60 and 65 have no interest
              EXPECT_EQ(there.first, 5) << of;
              for (std::size_t i = 0; i < one.second.size(); ++i)
                ASSERT_NEAR(one.second[i], there.second[i], 1e-6) << of << ", " << i;
            });
}

}  // namespace
}  // namespace seqrank
