// Item vectors plus one vector for each column of the event.
#include "models/nn/input_layer.h"

#include "models/nn/layers.h"

namespace seqrank {
namespace {

std::vector<std::string> columns_named(const std::string& list) {
  std::vector<std::string> names;
  if (list == "none") return names;
  for (std::size_t begin = 0; begin < list.size();) {
    const std::size_t end = std::min(list.find(',', begin), list.size());
    names.push_back(list.substr(begin, end - begin));
    begin = end + 1;
  }
  return names;
}

}  // namespace

std::vector<OptionSpec> InputLayer::options(const std::string& default_columns) {
  return {{"model.input", OptionKind::text, default_columns,
           "what is added to an event's item: position,gap,hour,weekday and columns of the data; "
           "or none"}};
}

InputLayer::InputLayer(const ModelInput& input, std::int64_t width) {
  const Initialiser normal{Initialiser::Kind::normal,
                           static_cast<float>(input.options.real("model.item_scale"))};
  for (const std::string& name : columns_named(input.options.text("model.input"))) {
    const auto column = input.columns.find(name);
    if (column == input.columns.end()) {
      std::string known;
      for (const auto& [other, values] : input.columns)
        known += (known.empty() ? "" : ", ") + other;
      SR_CHECK(false, ErrorKind::usage,
               "--model.input: the data set has no column {}; it has: {} (gap, hour and weekday "
               "need times)",
               name, known.empty() ? "none" : known);
    }
    const std::int64_t values = column->second;
    const Shape shape = values == 0 ? Shape{width, 1} : Shape{values, width};
    parts_.push_back(
        {name, values == 0, &input.parameters.declare("input." + name, shape, normal, Decay::yes)});
    if (name == "position") max_length_ = values;
  }
}

Var InputLayer::operator()(Tape& tape, ItemTable& items, const Batch& batch) const {
  Var e_ND = items.lookup(tape, batch);
  for (const Part& part : parts_) {
    const Var more_ND =
        part.number ? nn::linear(tape, Var(batch.numbers.at(part.column)), *part.table, nullptr)
                    : nn::embedding(tape, *part.table, batch.ids.at(part.column));
    e_ND = nn::add(tape, e_ND, more_ND);
  }
  return e_ND;
}

BatchNeeds InputLayer::needs() const {
  BatchNeeds needs;
  for (const Part& part : parts_) needs.columns.push_back(part.column);
  needs.max_length = max_length_;
  return needs;
}

}  // namespace seqrank
