// One rule for all tables: what it keeps of a row, and how a checkpoint names it.
#include "trainer/row_tables.h"

#include <algorithm>

#include "backend/mapped_memory.h"
#include "backend/ops/activation.h"
#include "trainer/available_memory.h"
#include "trainer/file_memory.h"
#include "trainer/host_pieces.h"

namespace seqrank {
namespace {

// Elements of a rank that has most rows.
std::int64_t elements_of(const Parameter& table, const TableGroups& groups) {
  return (table.shape[0] + groups.size() - 1) / groups.size() * table.shape[1];
}

// Of all blocks that will be asked for; not of what is one number a row, which a device keeps.
std::int64_t bytes_on_host(const ParameterStore& parameters, const TableGroups& groups,
                           std::optional<RowRule> rule) {
  Arena planned(make_planned_memory(), 0);
  std::vector<std::shared_ptr<Storage>> blocks;
  for (const Parameter& p : parameters.parameters()) {
    if (!p.apart) continue;
    const auto elements = static_cast<std::size_t>(elements_of(p, groups));
    blocks.push_back(planned.allocate(elements * dtype_size(p.dtype), Tag::parameter));
    if (rule != RowRule::lazy_adam || p.frozen()) continue;
    for (int moment = 0; moment < 2; ++moment)
      blocks.push_back(planned.allocate(elements * sizeof(float), Tag::parameter));
  }
  return static_cast<std::int64_t>(planned.bytes(Tag::parameter));
}

// Of several ranks a save, and a start from one, brings the rows into ranges besides: one of each
// tensor, and two more while a tensor is on its way (dealt_rows.cc).
std::int64_t bytes_of_ranges(const ParameterStore& parameters, const TableGroups& groups,
                             std::optional<RowRule> rule) {
  std::int64_t sum = 0, largest = 0;
  for (const Parameter& p : parameters.parameters()) {
    if (!p.apart || groups.size() == 1) continue;
    const auto bytes = elements_of(p, groups) * static_cast<std::int64_t>(sizeof(float));
    sum += bytes * (rule == RowRule::lazy_adam && !p.frozen() ? 3 : 1);
    largest = std::max(largest, bytes);
  }
  return sum + 2 * largest;
}

// The driver gives out what is not there; whoever touches it then is killed. All ranks of a host
// ask at once. Collective.
void expect_room_on_host(Communicator& ranks, std::int64_t bytes_a_rank) {
  const int here = ranks.split_shared()->size();
  const std::int64_t available = available_memory_bytes();
  SR_CHECK(has_room(bytes_a_rank, here, available), ErrorKind::device,
           "--table.tier=host: the tables of this host's ranks ({}), and what saving them takes, "
           "are {:.1f} GB of its memory, and {:.1f} are free: use more hosts, or make the model "
           "narrower (--model.width)",
           here, static_cast<double>(bytes_a_rank) * here / 1e9,
           static_cast<double>(available) / 1e9);
}

}  // namespace

void choose_row_tables(const Options& options, ParameterStore& parameters) {
  const std::string& tier = options.text("table.tier");
  const bool elsewhere = tier != "memory";
  SR_CHECK(!elsewhere || options.text("table.optimiser") != "adamw", ErrorKind::usage,
           "--table.tier={}: AdamW reads and writes all rows in every step; give "
           "--table.optimiser=rowwise_adagrad or lazy_adam",
           tier);
  SR_CHECK(!elsewhere || !options.has("train.init_from"), ErrorKind::usage,
           "--table.tier={}: --train.init_from takes rows over in memory alone", tier);
  const bool bf16 = options.text("table.dtype") == "bf16";
  SR_CHECK(!bf16 || options.text("table.optimiser") != "adamw", ErrorKind::usage,
           "--table.dtype=bf16: AdamW of all rows has them in fp32; give "
           "--table.optimiser=rowwise_adagrad or lazy_adam");
  if (options.text("table.optimiser") == "adamw") return;
  bool found = false;
  for (Parameter& p : parameters.parameters()) {
    p.apart = p.access == Access::rows;
    if (p.apart && bf16) p.dtype = DType::bf16;
    found = found || p.apart;
    SR_CHECK(!elsewhere || !p.apart || p.may_split, ErrorKind::usage,
             "--table.tier={}: this model reads all of {} at once; give --table.tier=memory", tier,
             p.name);
  }
  SR_CHECK(found, ErrorKind::usage,
           "--table.optimiser={}: this model has no table that is read by rows alone; the exact "
           "softmax reads all of a tied one (take another --loss.kind, or --model.tied=no)",
           options.text("table.optimiser"));
}

std::unique_ptr<TableMemory> row_table_memory(Context& ctx, Communicator& ranks,
                                              const Options& options,
                                              const ParameterStore& parameters,
                                              const TableGroups& groups,
                                              std::optional<RowRule> rule) {
  const std::string& tier = options.text("table.tier");
  if (tier == "memory") return nullptr;
  if (tier == "host") {
    SR_CHECK(ctx.device() == Device::cuda, ErrorKind::usage,
             "--table.tier=host is for a GPU, and this computes on a CPU, whose memory is the "
             "host's: give --device=cuda, or --table.tier=memory, or file");
    const std::int64_t bytes = bytes_on_host(parameters, groups, rule);
    const double cache = options.real("table.cache") * (1 << 20);
    const double share = bytes == 0 ? 0 : std::min(1.0, cache / static_cast<double>(bytes));
    const auto on_host = static_cast<std::int64_t>((1 - share) * static_cast<double>(bytes));
    if (!ctx.plans())
      expect_room_on_host(ranks, on_host + bytes_of_ranges(parameters, groups, rule));
    return std::make_unique<TableMemory>(TableMemory::Place::host, make_mapped_memory(ctx, share),
                                         share);
  }
  SR_CHECK(ctx.device() == Device::cpu, ErrorKind::usage,
           "--table.tier=file: a GPU does not read tables from files; give --table.tier=memory, or "
           "host");
  const char* const folder = options.has("table.folder") ? "table.folder" : "run";
  SR_CHECK(ctx.plans() || options.has(folder), ErrorKind::usage,
           "--table.tier=file: give a --table.folder");
  return std::make_unique<TableMemory>(
      TableMemory::Place::file,
      ctx.plans() ? make_planned_memory() : make_file_memory(options.text(folder)), 0);
}

RowTables::RowTables(Context& ctx, const ParameterStore& store, const RowOwners& owners,
                     const RowRules& rules, TableMemory* apart)
    : owners_(owners), rules_(rules), apart_(apart) {
  for (const Parameter& p : store.parameters())
    if (p.apart) tables_.push_back(make_table(ctx, p));
}

std::vector<TensorTotal> saved_tensors(const Parameter& table, RowRule rule) {
  const std::int64_t rows = table.shape[0], elements = table.shape.numel();
  std::vector<TensorTotal> tensors = {{table.name + "/weight", elements}};
  if (table.frozen()) return tensors;
  if (rule == RowRule::rowwise_adagrad) {
    tensors.push_back({table.name + "/sum", rows});
  } else {
    tensors.push_back({table.name + "/m", elements});
    tensors.push_back({table.name + "/v", elements});
    tensors.push_back({table.name + "/updates", rows});
  }
  return tensors;
}

// Of this rank's rows; tensor: of all of them. A device keeps what is one number a row.
RowTables::Saved RowTables::zeros(Context& ctx, const TensorTotal& tensor,
                                  std::int64_t rows) const {
  const Shape shape = {owners_.own().end - owners_.own().begin, tensor.total / rows};
  const bool on_host = apart_ != nullptr && apart_->place == TableMemory::Place::host;
  if (apart_ == nullptr || (on_host && shape[1] == 1)) {
    Saved state{tensor.name, ctx.empty(DType::f32, shape, Tag::optimiser)};
    fill(ctx, state.row_KW, 0);
    return state;
  }
  Tensor row_KW(apart_->arena, DType::f32, shape, Tag::optimiser);
  if (on_host) {
    fill(ctx, row_KW, 0);
    return {tensor.name, row_KW, read_by_blocks(ctx, row_KW), write_by_blocks(ctx, row_KW)};
  }
  return {tensor.name,
          row_KW,
          [row_KW](std::int64_t first, std::span<float> out) {
            std::copy_n(row_KW.data<float>() + first, out.size(), out.begin());
          },
          {}};
}

RowTables::Table RowTables::make_table(Context& ctx, const Parameter& parameter) const {
  const auto own = owners_.own();
  Table table{&parameter, parameter.local_value().rows(own.begin, own.end), {}, {}, {}};
  const std::vector<TensorTotal> tensors = saved_tensors(parameter, rules_.rule);
  table.saved.push_back({tensors[0].name, table.value_KD});
  if (parameter.on_host()) {
    table.saved[0].read = read_by_blocks(ctx, table.value_KD);
    table.saved[0].write = write_by_blocks(ctx, table.value_KD);
  }
  if (parameter.made_late())
    table.saved[0].read = [&parameter, begin = own.begin * parameter.shape[1]](
                              std::int64_t first, std::span<float> out) {
      parameter.read(begin + first, out);
    };
  for (std::size_t i = 1; i < tensors.size(); ++i)
    table.saved.push_back(zeros(ctx, tensors[i], parameter.shape[0]));
  if (parameter.frozen()) return table;
  const Tensor last = table.saved.back().row_KW;  // one a row
  const Tensor one_K = last.reshape({last.dim(0)});
  if (rules_.rule == RowRule::rowwise_adagrad)
    table.sum_K = one_K;
  else
    table.moments = {table.saved[1].row_KW, table.saved[2].row_KW, one_K};
  return table;
}

void RowTables::add_squared_norm(Context& ctx, Tensor& sum_1,
                                 const std::vector<TouchedRows>& touched) {
  for (const TouchedRows& rows : touched) seqrank::add_squared_norm(ctx, sum_1, rows.g_UD);
}

void RowTables::update(Context& ctx, const std::vector<TouchedRows>& touched, const Tensor& scale_1,
                       float rate, std::int64_t updates) {
  for (const TouchedRows& rows : touched) {
    Table& table = table_of(*rows.table);
    const RowRate own_rate{rate * rows.table->rate,
                           rows.table->decay == Decay::yes ? rules_.decay : 0.0f,
                           rows.table->rounding(owners_.own().begin, updates)};
    if (rules_.rule == RowRule::rowwise_adagrad)
      rowwise_adagrad(ctx, table.value_KD, table.sum_K, rows.id_U, rows.g_UD, scale_1, own_rate);
    else
      lazy_adam(ctx, table.value_KD, table.moments, rows.id_U, rows.g_UD, scale_1, rules_.adamw,
                own_rate);
  }
}

RowTables::Table& RowTables::table_of(const Parameter& parameter) {
  const auto found = std::ranges::find(tables_, &parameter, &Table::parameter);
  SR_ASSERT(found != tables_.end(), "{}: is not trained row by row", parameter.name);
  return *found;
}

std::vector<TensorPiece> RowTables::pieces() {
  std::vector<TensorPiece> pieces;
  const auto own = owners_.own();
  for (const Table& table : tables_) {
    if (table.parameter->split.ranks > 1 || own.begin == own.end) continue;
    for (const Saved& saved : table.saved) {
      const std::int64_t width = saved.row_KW.dim(1);
      pieces.push_back({saved.name, own.begin * width, own.end * width,
                        table.parameter->shape[0] * width,
                        saved.row_KW.reshape({saved.row_KW.numel()}), saved.read, saved.write});
    }
  }
  return pieces;
}

std::vector<DealtRows> RowTables::dealt_rows() {
  std::vector<DealtRows> all;
  for (const Table& table : tables_) {
    if (table.parameter->split.ranks == 1) continue;
    for (const Saved& saved : table.saved)
      all.push_back({saved.name, table.parameter->shape[0], saved.row_KW, saved.read});
  }
  return all;
}

}  // namespace seqrank
