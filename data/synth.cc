// Goes over the sequences twice, drawing them again: once to count items, for ids by frequency, and
// once to write. Memory: a few numbers an item.
#include "data/synth.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <vector>

#include "backend/check.h"
#include "data/dataset_writer.h"
#include "data/synth_model.h"

namespace seqrank {
namespace {

constexpr std::int64_t kMostClusters = 4096;  // the chain is a matrix

void check_options(const SynthOptions& o) {
  SR_CHECK(o.items >= 1 && o.items <= std::numeric_limits<std::int32_t>::max(), ErrorKind::usage,
           "synth: {} items; give 1 to 2^31 - 1", o.items);
  SR_CHECK(o.clusters >= 1 && o.clusters <= std::min(o.items, kMostClusters), ErrorKind::usage,
           "synth: {} clusters; give 1 to {} (at most {}, and one item each)", o.clusters,
           std::min(o.items, kMostClusters), kMostClusters);
  SR_CHECK(o.sequences >= 1, ErrorKind::usage, "synth: {} sequences; give at least 1", o.sequences);
  SR_CHECK(o.length >= 1, ErrorKind::usage, "synth: sequences of {} events; give at least 1",
           o.length);
  SR_CHECK(o.zipf >= 0 && o.zipf <= 100, ErrorKind::usage, "synth: zipf exponent {}; give 0 to 100",
           o.zipf);
  SR_CHECK(o.concentration > 0 && o.concentration <= 1, ErrorKind::usage,
           "synth: concentration {}; give more than 0 and at most 1", o.concentration);
}

// Provisional ids by falling count; equal counts in rising order.
std::vector<std::int32_t> by_frequency(const SynthModel& model, const SynthOptions& options) {
  std::vector<std::int64_t> count(static_cast<std::size_t>(options.items));
  std::vector<std::int32_t> items;
  for (std::int64_t s = 0; s < options.sequences; ++s) {
    model.draw(s, items);
    for (const std::int32_t item : items) ++count[item];
  }
  std::vector<std::int32_t> order(count.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::int32_t a, std::int32_t b) { return count[a] > count[b]; });
  return order;
}

void add_scores(const SynthModel& model, const std::vector<std::int32_t>& items,
                SynthReport& sums) {
  const auto& best = model.best_after(model.cluster_of(items[items.size() - 2]));
  sums.best_ndcg_10 += best.ndcg;
  sums.best_hr_10 += best.hr;
  const auto hit = std::find(best.top.begin(), best.top.end(), items.back());
  if (hit == best.top.end()) return;
  sums.oracle_ndcg_10 += discount(static_cast<int>(hit - best.top.begin()));
  sums.oracle_hr_10 += 1;
}

void write_attributes(DatasetWriter& writer, const SynthOptions& options,
                      const SynthReport& report) {
  writer.set_attribute("generator", std::string("seqrank synth"));
  writer.set_attribute("synth_length", static_cast<double>(options.length));
  writer.set_attribute("synth_clusters", static_cast<double>(options.clusters));
  writer.set_attribute("synth_zipf", options.zipf);
  writer.set_attribute("synth_concentration", options.concentration);
  writer.set_attribute("synth_seed", fmt::to_string(options.seed));  // 64 bits, as text
  if (options.length < 3) return;
  writer.set_attribute("best_ndcg@10", report.best_ndcg_10);
  writer.set_attribute("best_hr@10", report.best_hr_10);
  writer.set_attribute("oracle_ndcg@10", report.oracle_ndcg_10);
  writer.set_attribute("oracle_hr@10", report.oracle_hr_10);
}

}  // namespace

SynthReport synth(const SynthOptions& options) {
  check_options(options);
  DatasetWriter writer(options.output);
  const SynthModel model(options);
  const std::vector<std::int32_t> provisional_of = by_frequency(model, options);
  std::vector<std::int32_t> id_of(provisional_of.size());
  for (std::size_t id = 0; id < provisional_of.size(); ++id)
    id_of[provisional_of[id]] = static_cast<std::int32_t>(id);

  SynthReport report{.items = options.items, .sequences = options.sequences};
  std::vector<std::int32_t> items;
  for (std::int64_t s = 0; s < options.sequences; ++s) {
    model.draw(s, items);
    if (items.size() >= 3) add_scores(model, items, report);
    for (std::int32_t& item : items) item = id_of[item];
    writer.add_sequence(items, {});
    report.events += static_cast<std::int64_t>(items.size());
  }
  for (double* score :
       {&report.best_ndcg_10, &report.best_hr_10, &report.oracle_ndcg_10, &report.oracle_hr_10})
    *score /= static_cast<double>(options.sequences);

  // Keys name the truth: cluster and place in it.
  for (const std::int32_t item : provisional_of) {
    const std::int64_t cluster = model.cluster_of(item);
    writer.add_item_key(fmt::format("c{}-{}", cluster, item - model.begin_of(cluster)));
  }
  write_attributes(writer, options, report);
  writer.finish(options.items);
  return report;
}

}  // namespace seqrank
