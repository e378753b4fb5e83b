// What a training step needs, made from options: the training run and `bench step` build the same.
#pragma once

#include <memory>
#include <string>

#include "data/loader.h"
#include "trainer/schedule.h"
#include "trainer/train_step.h"

namespace seqrank {

struct TrainingParts {
  // `options` declares train_options() and the model's. Throws Error(usage) for a model that is
  // counted and for a precision that the device refuses, Error(data) where there is nothing to
  // train on. Sets ctx's precision.
  TrainingParts(Context& ctx, const Communicators& ranks, const Dataset& dataset,
                const Options& options);

  std::string precision_note;  // one line where ctx multiplies in another precision; else ""
  TableGroups groups;  // over which tables of items are split; each rank alone: they are not
  std::unique_ptr<TableMemory> table_memory;  // of tables that do not lie in the context's
  ParameterStore parameters;
  std::unique_ptr<Model> model;
  TrainedModel* trained;  // the same model
  Protocol protocol;
  TrainLoader loader;
  std::vector<TensorTotal> saved;    // what a checkpoint holds of the parameters
  std::vector<TensorPiece> carried;  // this rank's rows of what the model carries between steps
  std::unique_ptr<GradientExchange> exchange;
  std::unique_ptr<Optimiser> optimiser;
  std::unique_ptr<TrainStep> step;
  std::int64_t total_steps;
  Schedule schedule;
};

// Elements of all parameters of the model that `options` describe, and of its checkpoints;
// allocates none of them. Throws as TrainingParts does.
struct ModelSize {
  std::int64_t parameters = 0, saved = 0;
};
ModelSize model_size(const Options& options, const Dataset& dataset);

}  // namespace seqrank
