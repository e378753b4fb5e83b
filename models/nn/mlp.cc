// Dense layers, one after the other.
#include "models/nn/mlp.h"

#include <algorithm>
#include <cmath>

namespace seqrank::nn {

std::vector<OptionSpec> mlp_options() {
  return {{"model.hidden", OptionKind::integer, "64",
           "width of the first hidden layer; each further one is half as wide", "1..8192"},
          {"model.hidden_layers", OptionKind::integer, "2", "before the logit", "0..16"}};
}

Mlp declare_mlp(const Options& options, ParameterStore& store, const std::string& name,
                std::int64_t input, std::int64_t output) {
  Mlp made;
  const auto add = [&](std::int64_t width) {
    const std::string layer = name + "." + std::to_string(made.layers.size());
    // What keeps the size of values through ReLUs (He et al. 2015).
    const Initialiser uniform{Initialiser::Kind::uniform,
                              std::sqrt(6.0f / static_cast<float>(input))};
    made.layers.push_back({&store.declare(layer + ".w", {width, input}, uniform),
                           &store.declare(layer + ".b", {width}, {}, Decay::no)});
    input = width;
  };
  std::int64_t width = options.integer("model.hidden");
  for (std::int64_t i = 0; i < options.integer("model.hidden_layers"); ++i) {
    add(width);
    width = std::max<std::int64_t>(1, width / 2);
  }
  add(output);
  return made;
}

Var mlp(Tape& tape, Var x, const Mlp& layers, float dropout, const Batch& batch) {
  for (std::size_t i = 0; i < layers.layers.size(); ++i) {
    const Mlp::Layer& layer = layers.layers[i];
    x = linear(tape, x, *layer.w_MK, layer.b_M);
    if (i + 1 == layers.layers.size()) break;
    x = nn::dropout(tape, activate(tape, Activation::relu, x), dropout, batch);
  }
  return x;
}

}  // namespace seqrank::nn
