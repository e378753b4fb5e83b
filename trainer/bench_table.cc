// Rows of a table by themselves, in the parts of a step: which rows, their values to those who look
// them up, gradients back, and the update: AdamW's, of all rows, or row-wise Adagrad's, of those
// that were looked up, in fp32 or rounded to bf16; on a CUDA device these with tables in the host's
// memory, too.
#include <algorithm>
#include <optional>

#include "backend/mapped_memory.h"
#include "backend/ops/activation.h"
#include "backend/ops/embedding.h"
#include "backend/ops/unique_rows.h"
#include "backend/stopwatch.h"
#include "backend/transfer.h"
#include "trainer/bench_catalogue.h"
#include "trainer/op_samples.h"
#include "trainer/row_tables.h"
#include "trainer/sharded_adamw.h"

namespace seqrank {
namespace {

enum class Update { all_rows, touched_rows, touched_rows_bf16 };

const char* name_of(Update update) {
  static constexpr const char* kNames[] = {"AdamW", "row-wise Adagrad", "row-wise Adagrad, bf16"};
  return kNames[static_cast<int>(update)];
}

struct Form {
  Update update;
  std::optional<double> device_share = {};  // of a table in the host's memory
};

class TableStep final : public CatalogueStep {
 public:
  TableStep(Context& ctx, const Communicators& ranks, const CataloguePlan& plan, bool split,
            const Form& form, std::int64_t items)
      : ctx_(ctx),
        ranks_(ranks),
        device_share_(form.device_share.value_or(1)),
        table_VD_(store_.declare("items", {items, plan.width}, {Initialiser::Kind::constant, 0.02f},
                                 Decay::no, Access::rows)),
        groups_(split ? TableGroups(ranks, "all") : TableGroups()),
        rows_(ctx, ranks, items, Overlap::yes, groups_) {
    table_VD_.may_split = true;
    table_VD_.apart = form.update != Update::all_rows;
    if (form.update == Update::touched_rows_bf16) table_VD_.dtype = DType::bf16;
    if (form.device_share)
      host_.emplace(TableMemory::Place::host, make_mapped_memory(ctx, device_share_),
                    device_share_);
    TableMemory* const apart = host_ ? &*host_ : nullptr;
    store_.allocate(ctx, 1, ranks.size(), groups_.split(), apart);
    if (table_VD_.apart) {
      adagrad_.emplace(ctx, store_, rows_.owners(), RowRules(), apart);
    } else {
      exchange_.emplace(ctx, store_, ranks, ExchangeOptions(), groups_);
      adamw_.emplace(ctx, store_, *exchange_, AdamW(), 0.0f);
    }
    const auto own = Communicator::piece_range(plan.events, ranks.rank(), ranks.size());
    id_N_ = sample_ids(ctx, plan.events, items).rows(own.begin, own.end);
    next_ = unique();
    SampleValues values(ctx, DType::f32, id_N_.numel() * plan.width + 64);
    dy_ND_ = values.take({id_N_.numel(), plan.width});
    y_ND_ = ctx.empty(DType::f32, dy_ND_.shape());
    scale_1_ = ctx.empty(DType::f32, {1}, Tag::workspace);
    fill(ctx, scale_1_, 1);
    ctx.compute().synchronize();
  }

  std::vector<Part> parts() const override {
    const double row = 4.0 * static_cast<double>(table_VD_.shape[1]);
    const double events = static_cast<double>(id_N_.numel());
    const double unique = static_cast<double>(next_.id_U.numel());
    const double sent = ranks_.size() > 1 ? 2 * unique : 0;  // read and written once more
    // Of AdamW value and moments are read and written, the gradient read, and cleared.
    const double own = static_cast<double>(table_VD_.shape[0]) / ranks_.size();
    const double stored = static_cast<double>(dtype_size(table_VD_.dtype)) / 4;  // of a row of fp32
    const double updated = adagrad_ ? (2 * stored + 1) * unique : 8 * own;
    const double on_bus = row * stored * unique * (1 - device_share_);  // ids are drawn evenly
    return {{"deduplicate", 0, 4 * (3 * events + 2 * unique)},
            {"look-up", 0, row * ((stored + 1) * unique + sent + 2 * events), on_bus},
            {"gradient", 0, row * (events + unique + sent + 3 * unique)},
            {"update", 0, row * updated, on_bus}};
  }

  std::vector<double> run() override {
    std::vector<double> seconds;
    Stopwatch watch;
    const auto part_done = [&] {
      ctx_.compute().synchronize();
      seconds.push_back(watch.seconds());
      watch = Stopwatch();
    };
    const UniqueRows host = std::move(next_);
    next_ = unique();
    part_done();

    rows_.begin(host.id_U, next_.id_U);
    const UniqueRows here = to_device(ctx_, host);
    const FetchedRows fetched = rows_.fetch(table_VD_, here.id_U);
    gather_rows(ctx_, y_ND_, fetched.row_UD, here.place_N);
    rows_.tell_next();
    part_done();

    Tensor drow_UD = ctx_.empty(DType::f32, fetched.row_UD.shape());
    sum_rows(ctx_, drow_UD, dy_ND_, here);
    fetched.give_back(drow_UD);
    ctx_.compute().wait(ranks_.device.stream().record());
    rows_.add_given_back();
    part_done();

    if (adagrad_) {
      adagrad_->update(ctx_, rows_.touched(), scale_1_, 1e-3f, ++updates_);
    } else {
      adamw_->update(ctx_, scale_1_, 1e-3f, ++updates_);
      fill(ctx_, store_.gradients(), 0);
    }
    part_done();
    return seconds;
  }

  std::int64_t result_bytes() const override { return 0; }

 private:
  UniqueRows unique() { return unique_rows(ctx_.host_arena(), id_N_.span<std::int32_t>()); }

  Context& ctx_;
  Communicators ranks_;
  double device_share_;
  std::optional<TableMemory> host_;
  ParameterStore store_;
  Parameter& table_VD_;
  TableGroups groups_;
  RowExchange rows_;
  std::optional<GradientExchange> exchange_;
  std::optional<ShardedAdamW> adamw_;
  std::optional<RowTables> adagrad_;
  std::int64_t updates_ = 0;
  Tensor id_N_, y_ND_, dy_ND_, scale_1_;  // id_N: on the host
  UniqueRows next_;
};

}  // namespace

std::vector<CatalogueRow> bench_table(const Context& like, const Communicators& ranks,
                                      const CataloguePlan& plan) {
  CatalogueBench bench(like, ranks, plan);
  for (const std::int64_t items : plan.items)
    for (const bool split : {false, true}) {
      if (split ? !plan.split || ranks.size() == 1 : !plan.whole) continue;
      const std::string table = split ? "split" : "whole";
      const auto measure = [&](const Form& form, const std::string& where = "") {
        bench.measure({name_of(form.update), table + where, items},
                      [&](Context& ctx, const Communicators& among) {
                        return std::make_unique<TableStep>(ctx, among, plan, split, form, items);
                      });
      };
      measure({Update::all_rows});
      for (const Update update : {Update::touched_rows, Update::touched_rows_bf16}) {
        measure({update});
        if (like.device() == Device::cpu || split != (ranks.size() > 1)) continue;
        measure({update, 0}, ", on the host");
        measure({update, 0.5}, ", half on the host");
      }
    }
  return std::move(bench.rows);
}

}  // namespace seqrank
