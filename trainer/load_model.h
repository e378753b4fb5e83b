// A model to use rather than to train: from the checkpoints of a run, or counted from a data set.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "collective/communicator.h"
#include "data/dataset.h"
#include "models/model.h"
#include "trainer/gradient_exchange.h"

namespace seqrank {

struct LoadedModel {
  Options options;  // the model's and evaluate_options(), as the run was trained
  ParameterStore parameters;
  std::unique_ptr<Model> model;
  // Where tables are split over ranks or lie in the host's memory, what evaluate() reads them by;
  // else absent.
  TableGroups groups;
  std::unique_ptr<GradientExchange> exchange;
  std::string origin;  // for people: "runs/a at step 2000", "popularity, counted"
};

// Vectors of the items [V or more, D] that the model scores with; absent where it has none.
Tensor item_vectors(const LoadedModel& loaded);

// Collective. `run` given: the best checkpoint of that run folder (its configuration decides the
// model). Empty: the counting model `name`, fitted to the training split of `dataset`.
// Throws Error(usage) for a model that must be trained first, Error(checkpoint) for a run without a
// good checkpoint or trained on another catalogue: other item keys, or, where keys are missing,
// other data. settings: of evaluate_options(), over those of the run. report: one line for each
// checkpoint passed over, and for a run that was trained on what is asked; called on rank 0.
std::unique_ptr<LoadedModel> load_model(Context& ctx, const Communicators& ranks,
                                        const std::string& run, const std::string& name,
                                        const Dataset& dataset,
                                        const std::map<std::string, std::string>& settings,
                                        const std::function<void(const std::string&)>& report);

}  // namespace seqrank
