// Those of whom nothing is known: people without history are answered with what is popular in their
// scene, items without training events by the features they share with others. Both count training
// events alone.
#pragma once

#include <string>
#include <vector>

#include "collective/communicator.h"
#include "data/protocol.h"
#include "models/nn/parameter.h"

namespace seqrank {

std::vector<std::int64_t> training_events_by_item(const Protocol& protocol);

// Items by their training events in one scene, the event column "domain"; without it all is one.
class ScenePopularity {
 public:
  explicit ScenePopularity(const Protocol& protocol);
  // Names of the scenes by their number; one without a name where the data has none.
  const std::vector<std::string>& scenes() const { return scenes_; }
  // Training events of each item; of all scenes where scene < 0.
  const std::vector<std::int64_t>& events_V(std::int64_t scene) const;
  // Of the item, from 1: below all that have as many events.
  std::int32_t rank(std::int64_t scene, std::int32_t item) const;

 private:
  std::vector<std::string> scenes_;
  std::vector<std::vector<std::int64_t>> events_SV_;  // the last: of all
};

// Of people whose first event is in the split, of which no model is asked: the rank of that event's
// item by popularity in its scene. In the order of sequences; only a cut in time makes such people.
std::vector<std::int32_t> ranks_of_new_people(const Protocol& protocol, Split split);

struct ColdItems {
  std::int64_t cold = 0;   // items without training events
  std::int64_t given = 0;  // of these, those that share a feature with others and got a vector
};
// Each table of items: the row of an item without training events becomes the mean over its
// categorical features of the mean row of the items with training events and the same value. Values
// that are unknown (id 0), or that no trained item has, say nothing. Throws Error(usage) where the
// items have no categorical features.
// Collective among the hosts of all ranks where tables are split.
ColdItems give_vectors_by_features(Context& ctx, Communicator& comm, ParameterStore& parameters,
                                   const Protocol& protocol);

}  // namespace seqrank
