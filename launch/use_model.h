// What `evaluate` and `recommend` share: which model, on which data set, and what may differ from
// how it was trained.
#pragma once

#include <string>
#include <vector>

#include "data/dataset.h"
#include "models/options.h"

namespace seqrank {

// "run", "model.name", "data", "threads", and evaluate_options() without defaults: what is not
// given stays as in training.
std::vector<OptionSpec> use_model_options();

// Throws Error(usage) unless exactly one of --run and --model.name is given, and --data.
Dataset open_for_use(const Options& given);

void warn(const std::string& line);  // on standard error

std::string chosen_model(const Options& given);  // for people: the run folder or the model's name

// Sets in `loaded`, a model's options, what is given here.
void apply_use_options(const Options& given, Options& loaded);

}  // namespace seqrank
