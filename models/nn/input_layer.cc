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

BatchNeeds InputLayer::needs() const {
  BatchNeeds needs;
  columns_.add_needs(needs);
  return needs;
}

ColumnVectors::ColumnVectors(const ModelInput& input, const std::string& option,
                             const std::string& prefix, std::int64_t width) {
  const Initialiser normal{Initialiser::Kind::normal,
                           static_cast<float>(input.options.real("model.item_scale"))};
  for (const std::string& listed : columns_named(input.options.text(option))) {
    const std::string name = prefix + listed;
    const auto column = input.columns.find(name);
    if (column == input.columns.end()) {
      std::string known;
      for (const auto& [other, values] : input.columns)
        known += (known.empty() ? "" : ", ") + other;
      SR_CHECK(false, ErrorKind::usage,
               "--{}: the data set has no column {}; it has: {} (gap, hour and weekday need times)",
               option, name, known.empty() ? "none" : known);
    }
    const std::int64_t values = column->second;
    const Shape shape = values == 0 ? Shape{width, 1} : Shape{values, width};
    parts_.push_back(
        {name, values == 0, &input.parameters.declare("input." + name, shape, normal, Decay::yes)});
    if (values > 0) parts_.back().table->by_column = name;
    if (name == "position") max_length_ = values;
  }
}

Var ColumnVectors::add_to(Tape& tape, Var x_ND, const Batch& batch) const {
  for (const Part& part : parts_) {
    const Var more_ND =
        part.number ? nn::linear(tape, Var(batch.numbers.at(part.column)), *part.table, nullptr)
                    : nn::embedding(tape, *part.table, batch.ids.at(part.column));
    x_ND = x_ND ? nn::add(tape, x_ND, more_ND) : more_ND;
  }
  return x_ND;
}

void ColumnVectors::add_needs(BatchNeeds& needs) const {
  for (const Part& part : parts_) needs.columns.push_back(part.column);
  if (max_length_ > 0) needs.max_length = max_length_;
}

}  // namespace seqrank
