// What the trainer and the evaluation know of a model. Adding one is one file in this folder:
// derive, write the forward pass, SR_REGISTER_MODEL at the end of the file.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backend/context.h"
#include "data/batch.h"
#include "models/nn/tape.h"
#include "models/options.h"

namespace seqrank {

// Ranks the catalogue given histories.
class Model {
 public:
  virtual ~Model() = default;
  virtual BatchNeeds needs() const { return {}; }
  // score_BV is written: the score of every item as the next one after each sequence of the batch.
  virtual void score_next(Context& ctx, const Batch& batch, Tensor& score_BV) = 0;
};

class ItemTable;

// Ranks items by how a state meets the vector of each, and nothing else: so the items may be scored
// part by part, and by the ranks that hold them.
class StateRanker {
 public:
  virtual ~StateRanker() = default;
  // [B, D]: after each sequence of the batch, as ItemTable::score_rows() takes it. hooks: for rows
  // of a table that others hold; the batch then has item_rows.
  virtual Tensor next_states(Context& ctx, const Batch& batch, const TapeHooks& hooks) = 0;
  virtual const ItemTable& item_table() const = 0;
  // False where a setting adds to the scores what no state says; next_states() then throws.
  virtual bool by_state_alone() const { return true; }
};
// The model as one; null where it is none, or not as it is set.
inline StateRanker* state_ranker(Model& model) {
  auto* ranker = dynamic_cast<StateRanker*>(&model);
  return ranker != nullptr && ranker->by_state_alone() ? ranker : nullptr;
}

// Says how likely a given item is to be taken, after a history: click-through.
class ClickModel {
 public:
  virtual ~ClickModel() = default;
  // logit_N is written: of the label of target_N after each event of the batch. Reads no label of a
  // target.
  virtual void score_targets(Context& ctx, const Batch& batch, Tensor& logit_N) = 0;
  // False where a setting has it read more of a target than its item; score_next() then throws.
  virtual bool ranks_catalogue() const { return true; }
};

// Says which events of a history it looks at.
class AttentionModel {
 public:
  virtual ~AttentionModel() = default;
  // f32 [N] in host memory: the weight of each event where the item after the last event of its
  // sequence is asked for, or a click on one item: target_N of that last event. Absent where the
  // model, as it is set, attends to nothing. hooks: as of StateRanker.
  virtual Tensor attention_weights(Context& ctx, const Batch& batch, const TapeHooks& hooks) = 0;
  // Over each sequence. Otherwise they are any numbers, as the model sums events by them.
  virtual bool weights_sum_to_one() const { return true; }
};

// What a model carries from step to step in session-parallel training: a row for each slot of this
// rank, of a tensor with a row for each of all slots.
struct CarriedRows {
  std::string name;
  Tensor row_SD;
};

// Learns by gradients.
class TrainedModel : public Model {
 public:
  // Makes room for what it carries, zeros, which is saved with its parameters; called once, before
  // the first training batch, where needs().slot_events > 0.
  virtual std::vector<CarriedRows> carry(Context&, const SlotRange&) { return {}; }
  // Forward pass of a training batch: this rank's part of the mean loss over the global targets.
  virtual Var loss(Tape& tape, const Batch& batch) = 0;
};

// Training events of one sequence, in order: all, or where it is longer than data.max_length, a
// window as training has them, which begins with the last event of the window before. Every one is
// in a window, a sequence's only one too.
struct CountedEvents {
  std::span<const std::int32_t> item_E;
  std::span<const std::int64_t> time_E = {};  // seconds; empty unless needs().times
  std::size_t known = 0;  // events at the beginning that the window before has, too
};

// Learns by counting, in one pass over the training data.
class CountingModel : public Model {
 public:
  virtual void observe(const CountedEvents& events) = 0;
};

// What a model is built from. Parameters are declared while it is built and allocated afterwards.
struct ModelInput {
  const Options& options;  // those of model_options(name)
  std::int64_t items;      // V
  ParameterStore& parameters;
  std::map<std::string, std::int64_t> columns = {};  // of events: values, 0 for numbers
  // The ids of all items in a feature "NAME" where there is a column "item.NAME".
  std::function<std::vector<std::int32_t>(const std::string&)> item_feature = {};
};

using ModelMaker = std::function<std::unique_ptr<Model>(const ModelInput&)>;

struct ModelEntry {
  std::string name;
  std::string paper;
  std::vector<OptionSpec> (*options)();
  ModelMaker make;
};

// Throws Error(usage) with the names there are.
const ModelEntry& find_model(const std::string& name);
std::vector<std::string> model_names();
// The options of that model, "model.name" excluded.
std::vector<OptionSpec> model_options(const std::string& name);

struct ModelRegistration {
  explicit ModelRegistration(ModelEntry entry);
};

}  // namespace seqrank

// Class needs: static std::vector<OptionSpec> options(); explicit Class(const ModelInput&).
#define SR_REGISTER_MODEL(name, Class, paper)                                        \
  static const ::seqrank::ModelRegistration kRegistration##Class(                    \
      {name, paper, &Class::options,                                                 \
       [](const ::seqrank::ModelInput& input) -> std::unique_ptr<::seqrank::Model> { \
         return std::make_unique<Class>(input);                                      \
       }})
