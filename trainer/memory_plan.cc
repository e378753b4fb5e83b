// Runs what train() runs, with nothing behind it.
#include "trainer/memory_plan.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <utility>
#include <vector>

#include "trainer/evaluate.h"
#include "trainer/host_pieces.h"

namespace seqrank {
namespace {

constexpr std::int64_t kLook = 512;  // steps of an epoch whose batches are looked at
constexpr std::size_t kPlan = 4;     // the largest of them, which are planned
constexpr int kBlocks = 64;          // of questions

// The steps with the most events, of many of the first epoch.
std::vector<std::int64_t> large_steps(const TrainLoader& loader) {
  const std::int64_t epoch = loader.steps_per_epoch(), look = std::min(epoch, kLook);
  std::vector<std::pair<std::int64_t, std::int64_t>> found;  // events, step
  for (std::int64_t i = 0; i < look; ++i) {
    const std::int64_t step = epoch * i / look;
    found.emplace_back(loader.events(step), step);
  }
  std::ranges::sort(found, std::greater());
  std::vector<std::int64_t> steps;
  for (std::size_t i = 0; i < std::min(kPlan, found.size()); ++i) steps.push_back(found[i].second);
  return steps;
}

void plan_steps(TrainingParts& parts) {
  for (const std::int64_t step : large_steps(parts.loader)) {
    parts.loader.seek(step);
    const Batch batch = parts.loader.next();
    parts.loader.fill();  // what is made ahead is memory, too
    const Batch next = parts.loader.peek();
    parts.step->run(batch, step, 0, TrainStep::Wish::go_on, &next);
  }
}

void plan_evaluation(Context& ctx, Communicator& comm, TrainingParts& parts,
                     const Options& options) {
  if (options.integer("train.evaluate_every") == 0) return;
  parts.exchange->settle();
  int blocks = 0;
  (void)evaluate_unless(
      ctx, comm, *parts.model, parts.protocol, evaluate_options_from(options, Split::validation),
      [&blocks] { return ++blocks > kBlocks; }, parts.exchange.get());
}

// Rows of split tables are brought into ranges, which are written as they are; see dealt_rows.cc.
// Returns the bytes of the copy that is written.
std::int64_t plan_save(Context& ctx, Communicator& comm, TrainingParts& parts) {
  std::vector<TensorPiece> pieces = to_host(ctx, parts.optimiser->pieces());
  pieces.insert(pieces.end(), parts.carried.begin(), parts.carried.end());
  for (const DealtRows& own : parts.optimiser->dealt_rows()) {
    const TensorPiece arrived = empty_range(ctx, comm, own);
    const bool copied = own.read || own.row_KD.dtype() != DType::f32 || ctx.device() != Device::cpu;
    const TensorPiece sent = copied ? empty_range(ctx, comm, own) : TensorPiece();
    pieces.push_back(empty_range(ctx, comm, own));
    pieces.back().apart = true;
  }
  return save_bytes(ctx, pieces);
}

Options of_one_host(Options options) {
  if (options.text("table.group") == "node") options.set("table.group", "all", "plan");
  return options;
}

}  // namespace

std::int64_t MemoryPlan::total() const {
  return std::accumulate(peak_bytes.begin(), peak_bytes.end(),
                         device == Device::cpu ? checkpoint_bytes : cache_bytes);
}

std::int64_t MemoryPlan::host_bytes() const {
  return device == Device::cpu ? total() : pinned_bytes + table_bytes;
}

MemoryPlan plan_memory(const Dataset& dataset, const Options& options, const PlannedRanks& ranks) {
  Context ctx(Context::Planned{ranks.device}, ranks.threads);
  const auto comm = make_planned_communicator(ranks.count);
  TrainingParts parts(ctx, *comm, dataset, of_one_host(options));
  plan_steps(parts);
  plan_evaluation(ctx, *comm, parts, options);
  MemoryPlan plan;
  plan.device = ranks.device;
  plan.checkpoint_bytes = plan_save(ctx, *comm, parts);
  plan.parameters = parts.parameters.numel();
  plan.peak_bytes = ctx.arena().peak_bytes();
  if (ranks.device != Device::cpu)
    for (const std::int64_t bytes : ctx.host_arena().peak_bytes()) plan.pinned_bytes += bytes;
  if (const TableMemory* tables = parts.table_memory.get()) {
    const bool on_host = tables->place == TableMemory::Place::host;
    plan.cache_bytes = tables->bytes_on_device();
    (on_host ? plan.table_bytes : plan.file_bytes) = tables->bytes() - plan.cache_bytes;
  }
  return plan;
}

std::int64_t plan_table_files(const Dataset& dataset, const Options& options, int ranks) {
  Context ctx(Context::Planned{Device::cpu}, 1);
  const auto comm = make_planned_communicator(ranks);
  const TrainingParts parts(ctx, *comm, dataset, of_one_host(options));
  return parts.table_memory ? parts.table_memory->bytes() : 0;
}

}  // namespace seqrank
