// The table. Golden losses were written by the test's own run.
#include "tests/trainer/trained_models.h"

namespace seqrank {

const std::vector<TrainedModelCase>& trained_models() {
  static const std::vector<TrainedModelCase> models = {
      {{{"model.name", "attention_rnn"}},
       {4.10975, 4.07919, 4.06792, 4.02939, 4.04622, 4.045,   3.9234,  3.95295, 3.96008, 3.93884,
        3.90679, 3.96101, 3.85577, 3.88562, 3.79257, 3.79686, 3.77885, 3.82257, 3.81081, 3.72469}},
      {{{"model.name", "sasrec"}},
       {4.94429, 5.20275, 4.58985, 4.39384, 4.31164, 4.28994, 4.11703, 4.03662, 4.10332, 4.03638,
        4.04719, 3.9971,  3.91982, 3.9008,  3.78592, 3.78621, 3.78544, 3.82076, 3.82506, 3.67774}},
  };
  return models;
}

}  // namespace seqrank
