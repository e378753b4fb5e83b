// The first values of a new run from a checkpoint of another, on any number of ranks: parameters by
// name where the shapes are the same, tables of items row by row, by the items' keys, so that the
// other run may have been trained on other data. Takes weights alone: no moments, no step, no
// options. Does not resume; see train_resume.cc.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "collective/communicator.h"
#include "data/dataset.h"
#include "models/nn/parameter.h"
#include "models/options.h"
#include "trainer/training_state.h"

namespace seqrank {

// Collective, among hosts. Values go from what train.init_from names, a run folder (its best
// checkpoint) or the folder of one checkpoint, into `parameters`, which are allocated: whole, on
// every rank. `now`: shapes and fingerprints of this run. Returns lines for people: what was taken
// over and what was not. report: checkpoints passed over; called on rank 0.
//
// Throws Error(checkpoint) where there is no good checkpoint, where its items' keys are needed and
// not to be had, and where nothing of it fits.
std::vector<std::string> init_from(Context& ctx, Communicator& comm, const Options& options,
                                   const Dataset& dataset, const TrainingState& now,
                                   ParameterStore& parameters,
                                   const std::function<void(const std::string&)>& report);

}  // namespace seqrank
