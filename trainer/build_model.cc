// What models are told of a data set.
#include "trainer/build_model.h"

#include <numeric>

#include "data/event_columns.h"

namespace seqrank {

std::unique_ptr<Model> build_model(const std::string& name, const Options& options,
                                   const Dataset& dataset, ParameterStore& parameters) {
  const auto item_feature = [&dataset](const std::string& feature) {
    std::vector<std::int32_t> item_V(dataset.items()), id_V(dataset.items());
    std::iota(item_V.begin(), item_V.end(), 0);
    dataset.gather_feature(FeatureOf::item, feature, item_V, id_V);
    return id_V;
  };
  return find_model(name).make({options, dataset.items(), parameters,
                                event_columns(dataset, options.integer("data.max_length")),
                                item_feature});
}

}  // namespace seqrank
