// A model of a name, for a data set: for training and for use alike.
#pragma once

#include <memory>
#include <string>

#include "data/dataset.h"
#include "models/model.h"

namespace seqrank {

// Declares its parameters in `parameters`, allocates none. `options` declares the model's and
// "data.max_length". Throws Error(usage) for a name or a setting that there is not, or that the
// data set cannot serve.
std::unique_ptr<Model> build_model(const std::string& name, const Options& options,
                                   const Dataset& dataset, ParameterStore& parameters);

}  // namespace seqrank
