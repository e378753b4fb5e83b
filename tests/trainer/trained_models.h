// The models that learn by gradients, for tests that train each of them on the data set of `Train`:
// another model is another entry of the table.
#pragma once

#include <map>
#include <ostream>
#include <string>
#include <vector>

namespace seqrank {

struct TrainedModelCase {
  std::map<std::string, std::string> settings;  // over those of Train::options()
  // The first 20 losses in fp32 at seed 1, as models_test.cc trains; it prints those it finds.
  std::vector<double> golden;

  friend void PrintTo(const TrainedModelCase& c, std::ostream* out) {
    for (const auto& [key, value] : c.settings) *out << key << "=" << value << " ";
  }
};

const std::vector<TrainedModelCase>& trained_models();

}  // namespace seqrank
