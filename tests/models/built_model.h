// A small model of any name, its loss and its gradient on a batch.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "models/model.h"

namespace seqrank {

struct Built {
  std::string name;
  Options options;
  ParameterStore store;
  std::unique_ptr<Model> model;
  TrainedModel& trained() { return dynamic_cast<TrainedModel&>(*model); }
};

// settings go over width 8 and items that are not small, and choose the model's form. The columns
// of the data are those of packed_batch().
std::unique_ptr<Built> build(Context& ctx, const std::string& name,
                             const std::map<std::string, std::string>& settings,
                             std::int64_t items = 11);
double loss_of(Context& ctx, Built& built, const Batch& batch);
// A copy: the loss itself adds to the item table's gradient, whenever it is computed.
std::vector<float> gradient_of(Context& ctx, Built& built, const Batch& batch);

}  // namespace seqrank
