// The option that names a model: it decides which further options there are.
#pragma once

#include <string>
#include <vector>

#include "models/options.h"

namespace seqrank {

// "model.name", one of the models there are.
OptionSpec model_name_option(const std::string& default_value);

// For Command::more_options: the options of the model that "model.name" says; none if it is empty.
std::vector<OptionSpec> options_of_named_model(const Options& known);

}  // namespace seqrank
