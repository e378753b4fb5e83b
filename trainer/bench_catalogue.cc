// The loop over repeats, on contexts of their own: what a row holds is let go before the next.
#include "trainer/bench_catalogue.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "backend/copy_rate.h"
#include "backend/matmul_rate.h"

namespace seqrank {
namespace {

std::int64_t sum(const BytesByTag& bytes) {
  return std::accumulate(bytes.begin(), bytes.end(), std::int64_t{0});
}

BytesByTag held(Context& ctx) {
  BytesByTag bytes{};
  for (int tag = 0; tag < kTags; ++tag)
    bytes[tag] = static_cast<std::int64_t>(ctx.arena().bytes(static_cast<Tag>(tag)));
  return bytes;
}

}  // namespace

double CatalogueRow::floor_seconds() const {
  if (rates.flops_per_s == 0) return 0;
  const double bus = rates.bus_bytes_per_s == 0 ? 0 : bus_bytes / rates.bus_bytes_per_s;
  return std::max({flops / rates.flops_per_s, bytes / rates.bytes_per_s, bus});
}

MachineRates CatalogueBench::measured_rates() {
  Context ctx(like_.device(), like_.threads(), 0, like_.ordinal());
  MachineRates rates;
  ranks_.host.barrier();
  rates.flops_per_s = ranks_.host.all_reduce_value(measured_matmul_rate(ctx), Reduce::min);
  rates.bytes_per_s = ranks_.host.all_reduce_value(measured_copy_rate(ctx), Reduce::min);
  if (ctx.device() != Device::cpu)
    rates.bus_bytes_per_s = ranks_.host.all_reduce_value(measured_bus_rate(ctx), Reduce::min);
  return rates;
}

std::int64_t CatalogueBench::planned_bytes(const StepMaker& make) {
  Context ctx(Context::Planned{}, like_.threads());
  const auto comm = make_planned_communicator(ranks_.size());
  const auto step = make(ctx, *comm);
  for (int i = 0; i < 2; ++i) step->run();
  return sum(ctx.arena().peak_bytes());
}

void CatalogueBench::repeat(CatalogueStep& step, std::vector<CatalogueRow>& parts) {
  double spent = 0;
  for (std::int64_t i = 0; i == 0 || (i <= plan_.repeats && spent < plan_.seconds); ++i) {
    ranks_.host.barrier();
    std::vector<double> seconds = step.run();
    for (double& value : seconds) value = ranks_.host.all_reduce_value(value, Reduce::max);
    const double all = std::accumulate(seconds.begin(), seconds.end(), 0.0);
    if (i == 0 && all < plan_.seconds) continue;  // touched the memory
    spent += all;
    for (std::size_t p = 0; p < parts.size(); ++p) {
      parts[p].seconds.push_back(seconds[p]);
      parts[p].warm = i > 0;
    }
  }
}

void CatalogueBench::measure(const CatalogueRow& row, const StepMaker& make) {
  const std::int64_t wanted = planned_bytes(make), may = plan_.memory_bytes;
  if (ranks_.host.all_reduce_value(std::int64_t{may > 0 && wanted > may}, Reduce::max) > 0) {
    rows.push_back(row);
    rows.back().skipped =
        fmt::format("a rank would take {:.1f} GiB and may take {:.1f}",
                    static_cast<double>(wanted) / (1 << 30), static_cast<double>(may) / (1 << 30));
    return;
  }
  if (last_rates_.flops_per_s == 0) last_rates_ = measured_rates();
  Context ctx(like_.device(), like_.threads(), 0, like_.ordinal());
  const auto step = make(ctx, ranks_);
  const BytesByTag before = held(ctx);
  std::vector<CatalogueRow> parts;
  for (const CatalogueStep::Part& part : step->parts()) {
    parts.push_back(row);
    parts.back().part = part.name;
    parts.back().flops = ranks_.host.all_reduce_value(part.flops, Reduce::max);
    parts.back().bytes = ranks_.host.all_reduce_value(part.bytes, Reduce::max);
    parts.back().bus_bytes = ranks_.host.all_reduce_value(part.bus_bytes, Reduce::max);
  }
  repeat(*step, parts);
  const MachineRates before_it = std::exchange(last_rates_, measured_rates());
  for (CatalogueRow& part : parts) {
    part.rates = {(before_it.flops_per_s + last_rates_.flops_per_s) / 2,
                  (before_it.bytes_per_s + last_rates_.bytes_per_s) / 2,
                  (before_it.bus_bytes_per_s + last_rates_.bus_bytes_per_s) / 2};
    part.held_bytes = before;
    part.peak_bytes = ctx.arena().peak_bytes();
    part.extra_bytes = sum(part.peak_bytes) - sum(before) - step->result_bytes();
    rows.push_back(std::move(part));
  }
}

}  // namespace seqrank
