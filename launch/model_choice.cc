// Asks the registry; knows no model by name.
#include "launch/model_choice.h"

#include <fmt/format.h>

#include "models/model.h"

namespace seqrank {

OptionSpec model_name_option(const std::string& default_value) {
  return {"model.name", OptionKind::choice, default_value, "which model",
          fmt::format("{}", fmt::join(model_names(), "|"))};
}

std::vector<OptionSpec> options_of_named_model(const Options& known) {
  if (!known.has("model.name")) return {};
  return model_options(known.text("model.name"));
}

}  // namespace seqrank
