// The output layer by itself: states come from nowhere and their gradient goes nowhere. Between the
// ranks everything that training exchanges of a table: gradients to the owners and values back.
#include <optional>

#include "backend/ops/unique_rows.h"
#include "backend/stopwatch.h"
#include "backend/transfer.h"
#include "models/nn/layers.h"
#include "models/nn/losses.h"
#include "models/nn/tiled_softmax.h"
#include "trainer/bench_catalogue.h"
#include "trainer/gradient_exchange.h"
#include "trainer/op_samples.h"

namespace seqrank {
namespace {

enum class Loss { whole_rows, tiles, sampled };
struct Way {
  const char* name;
  Loss loss;
  bool split;
};

class LossStep final : public CatalogueStep {
 public:
  LossStep(Context& ctx, const Communicators& ranks, const CataloguePlan& plan, const Way& way,
           std::int64_t items)
      : ctx_(ctx),
        way_(way),
        items_(items),
        ranks_(ranks.size()),
        table_VD_(store_.declare("items", {items, plan.width}, {Initialiser::Kind::constant, 0.02f},
                                 Decay::no,
                                 way.loss == Loss::sampled ? Access::rows : Access::whole)) {
    table_VD_.may_split = true;
    table_VD_.apart = way.loss == Loss::sampled;  // no gradient of all rows
    const TableGroups groups = way.split ? TableGroups(ranks, "all") : TableGroups();
    store_.allocate(ctx, 1, ranks.size(), groups.split());
    exchange_.emplace(ctx, store_, ranks, ExchangeOptions(), groups);
    const auto own = make_batch(ranks, plan);
    SampleValues values(ctx, DType::f32, (own.end - own.begin) * plan.width + 64);
    h_ND_ = values.take({own.end - own.begin, plan.width});
  }

  std::vector<Part> parts() const override {
    const double width = static_cast<double>(table_VD_.shape[1]), row_bytes = 4 * width;
    const double rows = static_cast<double>(items_), states = static_cast<double>(h_ND_.dim(0));
    if (way_.loss == Loss::sampled) {
      // A row is read, sent, comes back as a gradient, and is added to one.
      const double unique = static_cast<double>(host_.item_rows.id_U.numel());
      return {{"", 6 * states * static_cast<double>(host_.negative_S.numel()) * width,
               5 * unique * row_bytes}};
    }
    // Every row is read and has a gradient; where it is on all ranks, that is summed and the value
    // comes back.
    const double all = static_cast<double>(host_.global_targets), ranks = ranks_;
    const double here = way_.split ? rows / ranks : rows;
    const double sent = way_.split ? 0 : 2 * rows * (ranks - 1) / ranks;
    return {{"", 6 * all * rows * width / ranks, (2 * here + 2 * sent) * row_bytes}};
  }

  std::vector<double> run() override {
    const Stopwatch watch;
    const Tensor id_U = host_.item_rows.id_U;
    exchange_->begin(id_U, id_U);
    Tape tape(ctx_, TapeMode::training, 1, exchange_->hooks());
    Var loss = loss_of(tape, Var(h_ND_));
    tape.backward(loss);
    exchange_->finish();
    exchange_->values_updated();
    ctx_.compute().synchronize();
    return {watch.seconds()};
  }

  std::int64_t result_bytes() const override { return static_cast<std::int64_t>(h_ND_.bytes()); }

 private:
  Communicator::Range make_batch(const Communicators& ranks, const CataloguePlan& plan) {
    for (int r = 0; r < ranks.size(); ++r) {
      const auto piece = Communicator::piece_range(plan.events, r, ranks.size());
      host_.targets_R.push_back(piece.end - piece.begin);
    }
    const auto own = Communicator::piece_range(plan.events, ranks.rank(), ranks.size());
    const Tensor ids = sample_ids(ctx_, plan.events + plan.negatives, items_);
    host_.target_N = ids.rows(own.begin, own.end);
    host_.global_targets = plan.events;
    if (way_.loss == Loss::sampled) {
      host_.negative_S = ids.rows(plan.events, ids.dim(0));
      const auto rows = shared_unique_rows(
          ctx_.host_arena(),
          {host_.target_N.span<std::int32_t>(), host_.negative_S.span<std::int32_t>()});
      host_.item_rows = host_.target_rows = rows[0];
      host_.negative_rows = rows[1];
    }
    batch_ = to_device(ctx_, host_);
    return own;
  }

  Var loss_of(Tape& tape, Var h_ND) {
    if (way_.loss == Loss::tiles)
      return nn::tiled_softmax_loss(tape, h_ND, {table_VD_, items_}, batch_.target_N, batch_, {});
    if (way_.loss == Loss::whole_rows)
      return nn::softmax_loss(tape, h_ND, Var(table_VD_), batch_.target_N, batch_.global_targets,
                              {});
    Var row_UD = tape.fetch_rows(table_VD_, batch_.item_rows.id_U);
    Var target_ND = nn::rows_of_events(tape, row_UD, batch_.target_rows);
    Var negative_SD = nn::rows_of_events(tape, row_UD, batch_.negative_rows);
    Var positive_N = nn::row_dot(tape, h_ND, target_ND);
    return nn::sampled_loss(tape, h_ND, positive_N, negative_SD, batch_, Tensor(), {});
  }

  Context& ctx_;
  Way way_;
  std::int64_t items_;
  int ranks_;
  ParameterStore store_;
  Parameter& table_VD_;
  std::optional<GradientExchange> exchange_;
  Batch host_, batch_;
  Tensor h_ND_;
};

}  // namespace

std::vector<CatalogueRow> bench_loss(const Context& like, const Communicators& ranks,
                                     const CataloguePlan& plan) {
  std::vector<Way> ways;
  if (plan.whole && plan.whole_rows)
    ways.push_back({"softmax over whole rows", Loss::whole_rows, false});
  const bool splits = plan.split && ranks.size() > 1;
  for (const bool split : {false, true}) {
    if (split ? !splits : !plan.whole) continue;
    if (plan.tiles) ways.push_back({"softmax in tiles", Loss::tiles, split});
    if (plan.sampled) ways.push_back({"sampled softmax", Loss::sampled, split});
  }
  CatalogueBench bench(like, ranks, plan);
  for (const std::int64_t items : plan.items)
    for (const Way& way : ways)
      bench.measure({way.name, way.split ? "split" : "whole", items},
                    [&](Context& ctx, const Communicators& among) {
                      return std::make_unique<LossStep>(ctx, among, plan, way, items);
                    });
  return std::move(bench.rows);
}

}  // namespace seqrank
