// What `evaluate` and `recommend` share: which model, on which data set, and what may differ from
// how it was trained.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "models/options.h"
#include "trainer/load_model.h"

namespace seqrank {

// "run", "model.name", "data", "threads", and evaluate_options() without defaults: what is not
// given stays as in training.
std::vector<OptionSpec> use_model_options();

// Throws Error(usage) unless exactly one of --run and --model.name is given, and --data.
Dataset open_for_use(const Options& given);

void warn(const std::string& line);  // on standard error

std::string chosen_model(const Options& given);  // for people: the run folder or the model's name

class RankDevice;
// Collective: load_model() for people who are to be answered, which is one rank's work, or that of
// all where they hold its tables together. Throws Error(usage) for several ranks of which one has
// all there is.
std::unique_ptr<LoadedModel> load_for_use(RankDevice& device, Communicator& comm,
                                          const Options& given, const Dataset& dataset);

// "cold-items", and what it asks for: vectors by features for the items of a loaded model that its
// protocol's training events do not have.
OptionSpec cold_items_option();
void serve_cold_items(Context& ctx, Communicator& comm, const Options& given,
                      const Dataset& dataset, LoadedModel& loaded);

// What is given of evaluate_options(), for load_model().
std::map<std::string, std::string> use_settings(const Options& given);

}  // namespace seqrank
