// Parameters: declared by name and shape while a model is built, then laid out in one flat block of
// values and one of gradients, in the order of declaration. Buckets are ranges of the flat block,
// so what is exchanged and saved does not depend on the model.
#pragma once

#include <cstdint>
#include <deque>
#include <string>

#include "backend/context.h"

namespace seqrank {

struct Initialiser {
  enum class Kind { zero, constant, uniform, normal } kind = Kind::zero;
  float amount = 0;  // constant: the value; uniform: the bound; normal: the standard deviation
  // constant: of the flattened elements [begin, end) alone, the others are zero; end < 0: of all.
  std::int64_t begin = 0, end = -1;
};

enum class Decay { yes, no };  // whether weight decay applies

struct Parameter {
  std::string name;
  Shape shape;
  Initialiser initialiser;
  Decay decay;
  int index = 0;            // in order of declaration
  std::int64_t offset = 0;  // of its first element in the flat block
  Tensor value;             // f32, a view of the flat block
  Tensor gradient;          // likewise
};

class ParameterStore {
 public:
  // The reference stays valid. Throws on a name given twice.
  Parameter& declare(const std::string& name, Shape shape, Initialiser initialiser,
                     Decay decay = Decay::yes);

  // Lays out and initialises all that was declared; call once. Values depend on (seed, name,
  // element) alone. Gradients are zero.
  void allocate(Context& ctx, std::uint64_t seed);

  std::deque<Parameter>& parameters() { return parameters_; }
  const std::deque<Parameter>& parameters() const { return parameters_; }
  std::int64_t numel() const { return numel_; }
  Tensor& values() { return values_P; }
  Tensor& gradients() { return gradients_P; }

 private:
  std::deque<Parameter> parameters_;  // a deque: references stay valid
  std::int64_t numel_ = 0;
  Tensor values_P;
  Tensor gradients_P;
};

}  // namespace seqrank
