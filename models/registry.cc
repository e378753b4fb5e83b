// The table of models, filled by the static objects of SR_REGISTER_MODEL before main().
#include <algorithm>

#include "models/model.h"

namespace seqrank {
namespace {

// A function-local static: it exists whichever model file registers first.
std::vector<ModelEntry>& registry() {
  static std::vector<ModelEntry> entries;
  return entries;
}

}  // namespace

ModelRegistration::ModelRegistration(ModelEntry entry) {
  registry().push_back(std::move(entry));
}

std::vector<std::string> model_names() {
  std::vector<std::string> names;
  for (const ModelEntry& entry : registry()) names.push_back(entry.name);
  std::sort(names.begin(), names.end());
  return names;
}

const ModelEntry& find_model(const std::string& name) {
  for (const ModelEntry& entry : registry())
    if (entry.name == name) return entry;
  std::string known;
  for (const std::string& other : model_names()) known += (known.empty() ? "" : ", ") + other;
  throw Error(ErrorKind::usage,
              fmt::format("--model.name={}: no such model; there are {}", name, known));
}

std::vector<OptionSpec> model_options(const std::string& name) {
  return find_model(name).options();
}

}  // namespace seqrank
