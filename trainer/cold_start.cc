// One pass over the training events for the counts; tables of items are changed on the host.
#include "trainer/cold_start.h"

#include <algorithm>

#include "backend/transfer.h"

namespace seqrank {
namespace {

bool has_scenes(const Dataset& dataset) {
  return std::ranges::any_of(dataset.features(FeatureOf::event),
                             [](const Feature& f) { return f.name == "domain"; });
}

// Of the events from `begin` on, 0 where the data has no scenes, as its caller has asked.
void read_scenes(const Dataset& dataset, bool scenes, std::int64_t begin,
                 std::span<std::int32_t> out) {
  if (scenes) return dataset.read_feature(FeatureOf::event, "domain", begin, out);
  std::ranges::fill(out, 0);
}

std::vector<std::string> names_of_scenes(const Dataset& dataset) {
  for (const Feature& feature : dataset.features(FeatureOf::event)) {
    if (feature.name != "domain") continue;
    std::vector<std::string> names;
    for (std::int64_t id = 0; id < feature.values; ++id)
      names.push_back(dataset.feature_value(FeatureOf::event, "domain", id));
    return names;
  }
  return {""};
}

// Rows of a table by item, those that are here: means by value of one feature, of the items that
// were trained.
class MeansByValue {
 public:
  MeansByValue(const std::vector<std::int32_t>& value_V, std::int64_t values,
               const std::vector<std::int64_t>& events_V, std::span<const float> table_KD,
               std::int64_t width, const RowSplit& split)
      : value_V_(value_V), width_(width), sum_(values * width, 0), items_(values, 0) {
    for (std::int64_t k = 0; k < split.rows_here(std::ssize(value_V)); ++k) {
      const std::int64_t v = split.row_of_table(k);
      if (events_V[v] == 0) continue;
      ++items_[value_V[v]];
      for (std::int64_t d = 0; d < width; ++d)
        sum_[value_V[v] * width + d] += table_KD[k * width + d];
    }
  }
  // Over the ranks, each row as often as there are groups: which is nothing to a mean.
  void join(Context& ctx, Communicator& comm) {
    all_reduce(ctx, comm, sum_);
    all_reduce(ctx, comm, items_);
  }
  // Whether there is a mean for the item; adds it.
  bool add_to(std::span<double> row_D, std::int64_t item) const {
    const std::int32_t value = value_V_[item];
    if (value == 0 || items_[value] == 0) return false;
    for (std::int64_t d = 0; d < width_; ++d) row_D[d] += sum_[value * width_ + d] / items_[value];
    return true;
  }

 private:
  static void all_reduce(Context& ctx, Communicator& comm, std::vector<double>& x) {
    Tensor all(ctx.host_arena(), DType::f64, {std::ssize(x)}, Tag::workspace);
    std::ranges::copy(x, all.data<double>());
    comm.all_reduce(all, Reduce::sum);
    comm.stream().synchronize();
    std::ranges::copy(all.span<double>(), x.begin());
  }

  const std::vector<std::int32_t>& value_V_;
  std::int64_t width_;
  std::vector<double> sum_, items_;
};

struct ItemFeature {
  std::vector<std::int32_t> value_V;
  std::int64_t values;
};

std::vector<ItemFeature> categories_of_items(const Dataset& dataset) {
  std::vector<ItemFeature> categories;
  for (const Feature& feature : dataset.features(FeatureOf::item)) {
    if (feature.values == 0) continue;
    categories.push_back({std::vector<std::int32_t>(dataset.items()), feature.values});
    dataset.read_feature(FeatureOf::item, feature.name, 0, categories.back().value_V);
  }
  return categories;
}

// How many rows of those here were given.
std::int64_t fill_table(std::span<float> table_KD, std::int64_t width, const RowSplit& split,
                        const std::vector<MeansByValue>& means,
                        const std::vector<std::int64_t>& events_V) {
  std::int64_t given = 0;
  std::vector<double> row_D(width);
  for (std::int64_t k = 0; k < split.rows_here(std::ssize(events_V)); ++k) {
    const std::int64_t v = split.row_of_table(k);
    if (events_V[v] > 0) continue;
    std::ranges::fill(row_D, 0);
    const auto found = std::ranges::count_if(
        means, [&](const MeansByValue& mean) { return mean.add_to(row_D, v); });
    if (found == 0) continue;
    ++given;
    for (std::int64_t d = 0; d < width; ++d)
      table_KD[k * width + d] = static_cast<float>(row_D[d] / static_cast<double>(found));
  }
  return given;
}

}  // namespace

std::vector<std::int64_t> training_events_by_item(const Protocol& protocol) {
  const Dataset& dataset = protocol.dataset();
  std::vector<std::int64_t> events_V(dataset.items(), 0);
  std::vector<std::int32_t> items;
  for (std::int64_t s = 0; s < dataset.sequences(); ++s) {
    items.resize(protocol.training_events(s));
    dataset.read_items(dataset.begin(s), items);
    for (const std::int32_t item : items) ++events_V[item];
  }
  return events_V;
}

ScenePopularity::ScenePopularity(const Protocol& protocol)
    : scenes_(names_of_scenes(protocol.dataset())) {
  const Dataset& dataset = protocol.dataset();
  events_SV_.assign(scenes_.size() + 1, std::vector<std::int64_t>(dataset.items(), 0));
  const bool scenes_are_there = has_scenes(dataset);
  std::vector<std::int32_t> items, scenes;
  for (std::int64_t s = 0; s < dataset.sequences(); ++s) {
    items.resize(protocol.training_events(s));
    scenes.resize(items.size());
    dataset.read_items(dataset.begin(s), items);
    read_scenes(dataset, scenes_are_there, dataset.begin(s), scenes);
    for (std::size_t i = 0; i < items.size(); ++i) {
      ++events_SV_[scenes[i]][items[i]];
      ++events_SV_.back()[items[i]];
    }
  }
}

const std::vector<std::int64_t>& ScenePopularity::events_V(std::int64_t scene) const {
  return scene < 0 ? events_SV_.back() : events_SV_.at(scene);
}

std::int32_t ScenePopularity::rank(std::int64_t scene, std::int32_t item) const {
  const auto& events = events_V(scene);
  return static_cast<std::int32_t>(
      std::ranges::count_if(events, [&](std::int64_t n) { return n >= events[item]; }));
}

std::vector<std::int32_t> ranks_of_new_people(const Protocol& protocol, Split split) {
  if (protocol.kind() != ProtocolKind::temporal) return {};
  const Dataset& dataset = protocol.dataset();
  std::vector<std::int64_t> sequences;
  for (std::int64_t s = 0; s < dataset.sequences(); ++s) {
    if (protocol.training_events(s) > 0 || dataset.length(s) == 0) continue;
    const bool before_test = protocol.targets(Split::validation, s).end > 0;
    if (before_test == (split == Split::validation)) sequences.push_back(s);
  }
  if (sequences.empty()) return {};
  const ScenePopularity popularity(protocol);
  const bool scenes_are_there = has_scenes(dataset);
  std::vector<std::int32_t> ranks;
  for (const std::int64_t s : sequences) {
    std::int32_t item = 0, scene = 0;
    dataset.read_items(dataset.begin(s), {&item, 1});
    read_scenes(dataset, scenes_are_there, dataset.begin(s), {&scene, 1});
    ranks.push_back(popularity.rank(scene, item));
  }
  return ranks;
}

ColdItems give_vectors_by_features(Context& ctx, Communicator& comm, ParameterStore& parameters,
                                   const Protocol& protocol) {
  const auto features = categories_of_items(protocol.dataset());
  SR_CHECK(!features.empty(), ErrorKind::usage,
           "{}: its items have no features of categories to give vectors by; `seqrank prepare "
           "--item-features` writes them",
           protocol.dataset().path());
  const auto events_V = training_events_by_item(protocol);
  ColdItems result;
  result.cold = std::ranges::count(events_V, 0);
  for (Parameter& p : parameters.parameters()) {
    if (!p.by_item) continue;
    SR_CHECK(!p.on_host(), ErrorKind::usage,
             "--cold-items: fills whole tables, and {} is in the host's memory: give "
             "--table.tier=memory, or --device=cpu",
             p.name);
    const std::int64_t width = p.shape.rank() == 1 ? 1 : p.shape[1];
    Tensor host = to_host(ctx, p.value());
    std::vector<MeansByValue> means;
    for (const ItemFeature& feature : features)
      means.emplace_back(feature.value_V, feature.values, events_V, host.span<float>(), width,
                         p.split);
    const bool split = p.split.ranks > 1;
    if (split)
      for (MeansByValue& mean : means) mean.join(ctx, comm);
    result.given = fill_table(host.span<float>(), width, p.split, means, events_V);
    if (split)
      result.given =
          comm.all_reduce_value(result.given, Reduce::sum) / (comm.size() / p.split.ranks);
    Tensor there = p.local_value();
    copy_to_device(ctx, there, host);
  }
  return result;
}

}  // namespace seqrank
