// Records a forward pass and runs it backward. A model writes only its forward pass, with the
// functions of layers.h; each of them computes at once and leaves behind how its gradient is found.
// Through its hooks the tape tells when a parameter's gradient is complete, so that its bucket can
// leave while backward still runs, and asks for the rows of a look-up, which others may hold. A
// tape lives for one step.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "backend/context.h"
#include "models/nn/parameter.h"

namespace seqrank {

enum class TapeMode {
  training,   // dropout on, backward recorded
  inference,  // dropout off, nothing recorded
};

// A value of the forward pass and, during backward, its gradient. Copies are the same variable.
class Var {
 public:
  Var() = default;
  explicit Var(Tensor value) : node_(std::make_shared<Node>()) { node_->value = std::move(value); }
  // A parameter as a variable. It holds no gradient of its own: a layer adds to the parameter's and
  // names it in its `uses`.
  explicit Var(Parameter& p) : Var(p.value()) { node_->parameter = &p; }
  // Its first rows, of the parameter's gradient those rows too.
  Var(Parameter& p, std::int64_t rows) : Var(p.value().rows(0, rows)) { node_->parameter = &p; }
  explicit operator bool() const { return node_ != nullptr; }
  Parameter* parameter() const { return node_->parameter; }
  const Tensor& value() const { return node_->value; }
  // Complete when the backward of the operation that made this variable runs. Absent where nothing
  // of the loss depends on it.
  const Tensor& gradient() const { return node_->gradient; }

 private:
  friend class Tape;
  struct Node {
    Tensor value;
    Tensor gradient;
    Parameter* parameter = nullptr;
  };
  std::shared_ptr<Node> node_;
};

// Rows of a table for one step.
struct FetchedRows {
  Tensor row_UD;                                         // their values
  std::function<void(const Tensor& drow_UD)> give_back;  // adds to their gradients
};

// The ranks that hold split tables together, and what they do for each other: all of them make the
// same calls in the same order. A tensor is cut into equal pieces, one a rank by place; what the
// compute stream does next finds the result.
struct TableRanks {
  int place = 0;                 // of this one
  std::vector<int> ranks = {0};  // of the world, by place; one alone holds whole tables
  std::function<void(Tensor&)> all_gather = {}, reduce_scatter = {};
  int count() const { return static_cast<int>(ranks.size()); }
};

// What a trainer does around a tape; each may be absent.
struct TapeHooks {
  // During backward(), once all of p's gradient is there but what look-ups add to it.
  std::function<void(Parameter&)> complete = {};
  // In place of the rows that the table holds here. id_U: of the step's batch; distinct, rising.
  std::function<FetchedRows(Parameter& table_VD, const Tensor& id_U)> fetch_rows = {};
  TableRanks table_ranks = {};
};

class Tape {
 public:
  // seed: of dropout. loss_scale_1: multiplies all gradients; losses take it into account.
  Tape(Context& ctx, TapeMode mode, std::uint64_t seed, TapeHooks hooks = {},
       Tensor loss_scale_1 = {});

  Context& ctx() { return ctx_; }
  TapeMode mode() const { return mode_; }
  std::uint64_t seed() const { return seed_; }
  const Tensor& loss_scale_1() const { return loss_scale_1_; }
  const TableRanks& table_ranks() const { return hooks_.table_ranks; }
  // Numbers the dropouts of a model in the order of their calls.
  std::uint32_t next_dropout_layer() { return dropout_layers_++; }

  // Registers how to continue backward from `made`. `uses`: the parameters to whose gradients the
  // step adds. The step runs once, after all later ones, and only when made.gradient() is there;
  // without one the uses still count as done. What it captures is freed when it has run.
  void record(const Var& made, std::vector<Parameter*> uses, std::function<void()> step);

  // Rows of a table as a variable, whose gradient goes back to them. id_U as for the hook; asked
  // for twice, the same rows are the same variable.
  Var fetch_rows(Parameter& table_VD, const Tensor& id_U);

  // Adds to a variable's gradient; takes `gradient` over as it is when it is the first. The caller
  // must not use the tensor, nor give it to two variables.
  void give_gradient(Var& var, Tensor gradient);

  // From a scalar whose gradient is one (the softmax loss has computed its gradients already).
  void backward(Var& loss);

 private:
  struct Step {
    Var made;
    std::vector<Parameter*> uses;
    std::function<void()> run;
  };
  struct Fetched {
    const Parameter* table;
    const void* ids;
    Var row_UD;
  };
  FetchedRows own_rows(Parameter& table_VD, const Tensor& id_U);
  void done_with(const std::vector<Parameter*>& uses);

  Context& ctx_;
  TapeMode mode_;
  std::uint64_t seed_;
  std::uint32_t dropout_layers_ = 0;
  TapeHooks hooks_;
  Tensor loss_scale_1_;
  std::vector<Step> steps_;
  std::vector<Fetched> fetched_;
  std::vector<int> pending_uses_;  // by parameter index
};

}  // namespace seqrank
