// Decides for each parameter, then loads: those that are taken whole in one pass over the shards,
// tables of items one by one, since a whole table of the other run is in memory for its rows.
#include "trainer/init_from.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "backend/transfer.h"
#include "trainer/catalogue.h"
#include "trainer/host_pieces.h"
#include "trainer/run_folder.h"

namespace seqrank {
namespace {

namespace fs = std::filesystem;

struct Source {
  std::string given;  // train.init_from
  std::string checkpoints, catalogue;
  std::int64_t step = -1;  // -1: the best
};

// RUN, or RUN/checkpoints/step-00000200.
Source source_of(const std::string& given) {
  fs::path path(given);
  if (!path.has_filename()) path = path.parent_path();  // after a slash
  const fs::path folder = path.parent_path();
  const std::string name = path.filename().string();
  std::int64_t step = -1;
  if (name.starts_with("step-") && folder.filename() == "checkpoints")
    std::from_chars(name.data() + 5, name.data() + name.size(), step);
  if (step >= 0 && checkpoint_path(folder.string(), step) == path.string())
    return {given, folder.string(), RunFolder((folder / "..").string()).catalogue_path(), step};
  const RunFolder run(path.string());
  return {given, run.checkpoints(), run.catalogue_path()};
}

TrainingState read_state(const Source& source, CheckpointStore& checkpoints) {
  const auto state = source.step >= 0 ? checkpoints.good(source.step) : checkpoints.best_good();
  std::error_code ignored;
  SR_CHECK(state, ErrorKind::checkpoint, "--train.init_from={}: {}", source.given,
           fs::exists(source.given, ignored) ? "no good checkpoint in it" : "there is no such run");
  SR_CHECK(!state->shapes.empty(), ErrorKind::checkpoint,
           "--train.init_from={}: the checkpoint of step {} is of an earlier version and does not "
           "say what shapes it holds; train that run for a step more",
           source.given, state->step);
  return *state;
}

struct Items {
  std::string why_not;  // "", or why tables of items are not taken over
  ItemMatch match;
  bool by_key = false;  // numbered otherwise there
};

// Rank 0 reads the keys and tells the others.
ItemMatch match_by_keys(Context& ctx, Communicator& comm, const Source& source,
                        const std::string& fingerprint, const Dataset& dataset) {
  ItemMatch match;
  std::string failure;
  if (comm.rank() == 0) {
    try {
      const Dataset there = Dataset::open(source.catalogue);
      SR_CHECK(there.item_fingerprint() == fingerprint, ErrorKind::data,
               "{}: keys of other items than the checkpoint's", source.catalogue);
      match = match_items(there, dataset);
    } catch (const Error& error) {
      failure = error.what();
    }
  }
  failure = comm.broadcast_text(failure, 0);
  SR_CHECK(failure.empty(), ErrorKind::checkpoint,
           "--train.init_from={}: the keys of its items are needed: {}", source.given, failure);
  match.there = comm.all_reduce_value(match.there, Reduce::sum);  // the others' is 0
  Tensor there_V(ctx.host_arena(), DType::i32, {dataset.items()}, Tag::workspace);
  if (comm.rank() == 0) std::ranges::copy(match.there_of, there_V.data<std::int32_t>());
  comm.broadcast(there_V, 0);
  comm.stream().record().wait();
  const auto told = there_V.span<std::int32_t>();
  match.there_of.assign(told.begin(), told.end());
  return match;
}

std::int64_t count_found(const ItemMatch& match) {
  return std::ranges::count_if(match.there_of, [](std::int32_t there) { return there >= 0; });
}

Items match_items_of(Context& ctx, Communicator& comm, const Source& source,
                     const TrainingState& saved, const TrainingState& now, const Dataset& dataset) {
  const bool keyed = saved.item_fingerprint != "none" && now.item_fingerprint != "none";
  if (keyed ? saved.item_fingerprint == now.item_fingerprint
            : saved.dataset_fingerprint == now.dataset_fingerprint)
    return {"", same_items(dataset.items())};
  if (!keyed) return {"other data, and items without keys", {}};
  ItemMatch match = match_by_keys(ctx, comm, source, saved.item_fingerprint, dataset);
  if (count_found(match) == 0) return {"none of the items is there", {}};
  return {"", std::move(match), true};
}

// Of a shape as text, "[3417, 64]".
std::int64_t rows_of(const std::string& shape) {
  std::int64_t rows = 0;
  std::from_chars(shape.data() + 1, shape.data() + shape.size(), rows);
  return rows;
}

Shape with_rows(const Shape& shape, std::int64_t rows) {
  return shape.rank() == 1 ? Shape{rows} : Shape{rows, shape[1]};
}

// Why rows of a column's values do not go by their numbers; "": they do. `now` has no names of
// those that are computed, whose values mean the same everywhere.
std::string values_otherwise(const std::string& column, const TrainingState& saved,
                             const TrainingState& now) {
  const auto here = now.columns.find(column), there = saved.columns.find(column);
  if (here == now.columns.end()) return "";
  if (there == saved.columns.end())
    return saved.dataset_fingerprint == now.dataset_fingerprint
               ? ""
               : fmt::format("other data, and its checkpoint does not say what values of {} are",
                             column);
  if (here->second == there->second) return "";
  return fmt::format("values of {} are numbered otherwise there", column);
}

// "" = it is taken over. Of a table of items, rows behind those of the items may be more or fewer.
std::string reason_against(const Parameter& p, const TrainingState& saved, const TrainingState& now,
                           const Items& items) {
  const auto found = saved.shapes.find(p.name);
  if (found == saved.shapes.end()) return "not there";
  const std::string otherwise = values_otherwise(p.by_column, saved, now);
  if (!otherwise.empty()) return otherwise;
  if (p.by_item && !items.why_not.empty()) return items.why_not;
  Shape wanted = p.shape;
  if (p.by_item) wanted = with_rows(p.shape, std::max(items.match.there, rows_of(found->second)));
  if (found->second == wanted.str()) return "";
  return fmt::format("{} there, {} wanted", found->second, wanted.str());
}

// Of the rows that are taken over.
std::vector<float> mean_row(std::span<const float> there, const ItemMatch& match, std::int64_t d) {
  std::vector<double> sum(static_cast<std::size_t>(d));
  for (const std::int32_t row : match.there_of)
    for (std::int64_t i = 0; row >= 0 && i < d; ++i) sum[i] += there[row * d + i];
  std::vector<float> mean;
  const auto rows = static_cast<double>(count_found(match));
  for (const double total : sum) mean.push_back(static_cast<float>(total / rows));
  return mean;
}

// rows: of the table there. Those behind the items', as of a mask, follow in order.
void take_rows(Context& ctx, CheckpointStore& checkpoints, std::int64_t step, Parameter& p,
               std::int64_t rows, const ItemMatch& match, bool mean) {
  const std::int64_t d = p.shape.numel() / p.shape[0], total = rows * d;
  std::vector<TensorPiece> piece = {
      {p.name + "/weight", 0, total, total,
       Tensor(ctx.host_arena(), DType::f32, {total}, Tag::workspace)}};
  checkpoints.load(step, piece);
  const std::span<const float> there = piece[0].data.span<float>();
  const std::vector<float> others = mean ? mean_row(there, match, d) : std::vector<float>();
  Tensor here = f32_to_host(ctx, p.local_value());
  const auto items = static_cast<std::int64_t>(match.there_of.size());
  for (std::int64_t i = 0; i < here.dim(0); ++i) {
    const std::int64_t id = p.split.row_of_table(i);
    const std::int64_t from = id < items ? match.there_of[id] : match.there + id - items;
    float* const row = here.data<float>() + i * d;
    if (from < 0) std::ranges::copy(others, row);
    if (from >= 0 && from < rows) std::ranges::copy(there.subspan(from * d, d), row);
  }
  Tensor value = p.local_value();
  if (value.raw() != here.raw()) f32_to_device(ctx, value, here);
}

constexpr std::size_t kListed = 10;

// The first ten of `count` names; more need not be given.
std::string listed(std::vector<std::string> names, std::size_t count) {
  names.resize(std::min(names.size(), kListed));
  const std::string text = fmt::format("{}", fmt::join(names, ", "));
  return count > kListed ? fmt::format("{} and {} more", text, count - kListed) : text;
}
std::string listed(const std::vector<std::string>& names) {
  return listed(names, names.size());
}

std::vector<std::string> item_lines(const ItemMatch& match, const Dataset& dataset, bool mean) {
  const std::int64_t found = count_found(match), fresh = dataset.items() - found;
  std::vector<std::string> first;
  for (std::int64_t item = 0; item < dataset.items() && first.size() < kListed; ++item)
    if (match.there_of[item] < 0) first.push_back(dataset.item_key(item));
  std::vector<std::string> lines = {fmt::format("{} of {} items taken over by key, of {} there",
                                                found, dataset.items(), match.there)};
  if (fresh > 0)
    lines.push_back(fmt::format("items that are not there, which have {}: {}",
                                mean ? "the mean of the others" : "initial values",
                                listed(first, static_cast<std::size_t>(fresh))));
  return lines;
}

}  // namespace

std::vector<std::string> init_from(Context& ctx, Communicator& comm, const Options& options,
                                   const Dataset& dataset, const TrainingState& now,
                                   ParameterStore& parameters,
                                   const std::function<void(const std::string&)>& report) {
  const Source source = source_of(options.text("train.init_from"));
  CheckpointOptions checkpoint_options;
  checkpoint_options.report = [&](const std::string& line) { report(source.given + ": " + line); };
  CheckpointStore checkpoints(source.checkpoints, comm, checkpoint_options);
  const TrainingState saved = read_state(source, checkpoints);
  const Items items = match_items_of(ctx, comm, source, saved, now, dataset);

  std::vector<TensorPiece> whole;
  std::vector<Parameter*> by_rows;
  std::vector<std::string> left, unused;
  for (Parameter& p : parameters.parameters()) {
    const std::string why_not = reason_against(p, saved, now, items);
    const std::int64_t n = p.shape.numel();
    if (!why_not.empty())
      left.push_back(fmt::format("{} ({})", p.name, why_not));
    else if (p.by_item)
      by_rows.push_back(&p);
    else
      whole.push_back({p.name + "/weight", 0, n, n, p.local_value().reshape({n})});
  }
  for (const auto& [name, shape] : saved.shapes)
    if (!now.shapes.contains(name)) unused.push_back(name);
  SR_CHECK(whole.size() + by_rows.size() > 0, ErrorKind::checkpoint,
           "--train.init_from={}: nothing of it fits this model: {}", source.given, listed(left));

  const bool mean = options.text("train.init_items") == "mean";
  load_pieces(ctx, checkpoints, saved.step, whole);
  for (Parameter* p : by_rows)
    take_rows(ctx, checkpoints, saved.step, *p, rows_of(saved.shapes.at(p->name)), items.match,
              mean);

  std::vector<std::string> lines = {
      fmt::format("starting from {} at step {}: {} of {} parameters taken over", source.given,
                  saved.step, whole.size() + by_rows.size(), parameters.parameters().size())};
  if (!left.empty()) lines.push_back("not taken over: " + listed(left));
  if (!unused.empty()) lines.push_back("not used of it: " + listed(unused));
  if (!by_rows.empty() && items.by_key)
    for (std::string& line : item_lines(items.match, dataset, mean))
      lines.push_back(std::move(line));
  return lines;
}

}  // namespace seqrank
