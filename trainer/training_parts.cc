// Options to objects.
#include "trainer/training_parts.h"

#include <bit>

#include "data/slot_schedule.h"
#include "trainer/build_model.h"
#include "trainer/evaluate.h"
#include "trainer/parameter_rules.h"

namespace seqrank {
namespace {

LoaderOptions loader_options(const Options& options, const Communicators& ranks,
                             const BatchNeeds& needs) {
  LoaderOptions result;
  result.seed = static_cast<std::uint64_t>(options.integer("train.seed"));
  result.global_batch = options.integer("train.batch");
  result.max_length = options.integer("data.max_length");
  result.rank = ranks.rank();
  result.world = ranks.size();
  result.needs = needs;
  return result;
}

// Throws Error(usage) for a model that is counted.
std::unique_ptr<Model> make_model(const Options& options, const Dataset& dataset,
                                  ParameterStore& parameters) {
  const std::string& name = options.text("model.name");
  auto model = build_model(name, options, dataset, parameters);
  SR_CHECK(dynamic_cast<TrainedModel*>(model.get()) != nullptr, ErrorKind::usage,
           "--model.name={}: counted, not trained; use `seqrank evaluate --model.name={}`", name,
           name);
  return model;
}

Precision precision_of(const Options& options) {
  return precision_from_name(options.text("train.precision")).value();
}

std::optional<LossScale> loss_scale_of(const Options& options) {
  LossScale result;
  const std::int64_t first = options.integer("train.loss_scale");
  if (first == 0 && precision_of(options) != Precision::fp16) return std::nullopt;
  SR_CHECK(first == 0 || std::has_single_bit(static_cast<std::uint64_t>(first)), ErrorKind::usage,
           "--train.loss_scale={}: it must be a power of two, so that it changes no digit", first);
  if (first > 0) result.first = static_cast<float>(first);
  result.growth_steps = static_cast<int>(options.integer("train.loss_scale_steps"));
  return result;
}

// Elsewhere than in the context's memory a row lies with its owner and nowhere else.
TableGroups groups_of(const Options& options, const Communicators& ranks,
                      const ParameterStore& parameters) {
  const std::string& tier = options.text("table.tier");
  if (tier == "memory") return table_groups(options, ranks, parameters);
  const std::string &split = options.text("table.split"), &how = options.text("table.group");
  TableGroups groups(ranks, how);
  SR_CHECK(groups.size() == ranks.size() && (ranks.size() == 1 || split != "no"), ErrorKind::usage,
           "--table.tier={}: each of the {} ranks has rows of its own alone; give "
           "--table.split=yes and --table.group=all, not {} and {}",
           tier, ranks.size(), split, how);
  return groups;
}

RowRules row_rules(const Options& options) {
  RowRules rules;
  if (options.text("table.optimiser") == "lazy_adam") rules.rule = RowRule::lazy_adam;
  rules.adamw.beta1 = static_cast<float>(options.real("train.beta1"));
  rules.adamw.beta2 = static_cast<float>(options.real("train.beta2"));
  rules.decay = static_cast<float>(options.real("train.weight_decay"));
  return rules;
}

// As a checkpoint names them; views.
std::vector<TensorPiece> carried_pieces(Context& ctx, TrainedModel& model, const SlotRange& slots) {
  std::vector<TensorPiece> pieces;
  for (const CarriedRows& rows : model.carry(ctx, slots)) {
    const std::int64_t width = rows.row_SD.dim(1);
    pieces.push_back({rows.name, slots.begin * width, slots.end * width, slots.all * width,
                      rows.row_SD.reshape({slots.count() * width})});
  }
  return pieces;
}

}  // namespace

TrainingParts::TrainingParts(Context& ctx, const Communicators& ranks, const Dataset& dataset,
                             const Options& options)
    : precision_note(ctx.set_precision(precision_of(options))),
      model(make_model(options, dataset, parameters)),
      trained(dynamic_cast<TrainedModel*>(model.get())),
      protocol(dataset, protocol_options_from(options)),
      loader(protocol, ctx.host_arena(), loader_options(options, ranks, model->needs())) {
  total_steps = options.integer("train.steps");
  if (total_steps == 0) total_steps = options.integer("train.epochs") * loader.steps_per_epoch();
  schedule = {options.text("train.schedule") == "cosine" ? Schedule::Kind::cosine
                                                         : Schedule::Kind::constant,
              options.real("train.learning_rate"), options.integer("train.warmup"), total_steps,
              options.real("train.final_share")};

  const auto seed = static_cast<std::uint64_t>(options.integer("train.seed"));
  apply_parameter_rules(options, parameters);
  choose_row_tables(options, parameters);
  saved = saved_tensors(parameters, row_rules(options).rule);
  groups = groups_of(options, ranks, parameters);
  table_memory =
      row_table_memory(ctx, ranks.host, options, parameters, groups, row_rules(options).rule);
  parameters.allocate(ctx, seed, ranks.size(), groups.split(), table_memory.get());
  if (model->needs().slot_events > 0)
    carried = carried_pieces(
        ctx, *trained, slot_range(options.integer("train.batch"), ranks.rank(), ranks.size()));
  exchange = std::make_unique<GradientExchange>(
      ctx, parameters, ranks,
      ExchangeOptions{options.integer("train.bucket_bytes"),
                      options.flag("train.overlap") ? Overlap::yes : Overlap::no},
      groups);
  optimiser = std::make_unique<Optimiser>(ctx, parameters, *exchange, row_rules(options),
                                          table_memory.get());
  step = std::make_unique<TrainStep>(ctx, ranks.device, *trained, *exchange, *optimiser, seed,
                                     static_cast<float>(options.real("train.clip")),
                                     loss_scale_of(options));
}

ModelSize model_size(const Options& options, const Dataset& dataset) {
  ParameterStore parameters;
  const auto model = make_model(options, dataset, parameters);
  apply_parameter_rules(options, parameters);
  choose_row_tables(options, parameters);
  ModelSize size{parameters.numel(), 0};
  for (const TensorTotal& tensor : saved_tensors(parameters, row_rules(options).rule))
    size.saved += tensor.total;
  return size;
}

}  // namespace seqrank
