// Parameters: declared by name and shape while a model is built, then laid out in one flat block of
// values and one of gradients, in the order of declaration. Buckets are ranges of the flat block,
// so what is exchanged and saved does not depend on the model. Tables that are trained row by row
// lie apart, without gradients of all rows. Knows no ranks, but that values may be on their way:
// they are read through value(), which sees to it that they are there.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <span>
#include <string>

#include "backend/context.h"
#include "backend/row_rounding.h"
#include "models/nn/table_memory.h"

namespace seqrank {

struct Initialiser {
  enum class Kind { zero, constant, uniform, normal } kind = Kind::zero;
  float amount = 0;  // constant: the value; uniform: the bound; normal: the standard deviation
  // constant: of the flattened elements [begin, end) alone, the others are zero; end < 0: of all.
  std::int64_t begin = 0, end = -1;

  // Uniform within 1 / sqrt(inputs), as dense layers begin.
  static Initialiser by_fan_in(std::int64_t inputs);
};

enum class Decay { yes, no };  // whether weight decay applies

// How a training step reads a parameter, and so what gradient it has.
enum class Access {
  whole,           // every element; dense
  rows,            // rows by id, through Tape::fetch_rows: those rows alone
  rows_and_whole,  // both, as a tied item table
};

// A table whose rows are dealt out to `ranks`: row i is the one numbered i / ranks here, at the
// rank of place i % ranks. Of one rank: the whole table.
struct RowSplit {
  int place = 0, ranks = 1;
  std::int64_t rows_here(std::int64_t rows) const { return (rows - place + ranks - 1) / ranks; }
  std::int64_t row_of_table(std::int64_t row_here) const { return row_here * ranks + place; }
};

class ParameterStore;

struct Parameter {
  std::string name;
  Shape shape;
  Initialiser initialiser;
  Decay decay = Decay::yes;
  Access access = Access::whole;
  float rate = 1;  // multiplies the learning rate; 0: frozen, its values stay as they are
  // Row i belongs to item i, and goes by its key to other data; others may follow the items' rows.
  bool by_item = false;
  // Row i belongs to the value i of this column of events (data/event_columns.h); "": to none.
  std::string by_column;
  bool may_split = false;  // its rows may be dealt out to ranks: who reads it knows how
  // Access::rows: its values lie in a block of their own, of the same layout, and there is no
  // gradient but the rows that look-ups give back. To be set before allocate().
  bool apart = false;
  // Likewise, of what lies apart: bf16 takes half the memory. Who looks rows up, or reads them by
  // the functions below, is given f32 either way.
  DType dtype = DType::f32;
  RowSplit split;           // from allocate() on
  int index = 0;            // in order of declaration
  std::int64_t offset = 0;  // of its first element in the block
  std::int64_t extent = 0;  // elements of the block that it takes; see allocate()
  Tensor gradient;          // f32, a view of the flat block: of all rows, or of those here

  // Likewise, of its dtype; what the compute stream does next with it sees the newest values.
  Tensor value() const;
  // Of what is here the values of rows [begin, end), f32: a view; a copy where rows are made late
  // or are bf16, and on the device where they lie in the host's memory.
  Tensor rows(Context& ctx, std::int64_t begin, std::int64_t end) const;
  // How bf16 rows from `first` on of what is here are rounded in the update of a step.
  RowRounding rounding(std::int64_t first, std::int64_t step) const;

  // A table that lies apart may get a row's initial values when the row is first asked for, so that
  // nothing of its size is written at the start: see allocate(). It is read by the functions that
  // follow, and by rows().
  bool made_late() const { return static_cast<bool>(made_K8_); }
  // Rows first + row_U[u] of what is here have values in local_value() from here on.
  void make_rows(std::int64_t first, std::span<const std::int32_t> row_U);
  void all_made() { made_K8_ = Tensor(); }  // by someone who wrote them: a table as any other
  // Elements from `first` on of what is here, as they are or would be made. On the CPU.
  void read(std::int64_t first, std::span<float> out) const;

  // What is here now, newest or not.
  const Tensor& local_value() const { return value_; }
  // With the elements that nobody reads; see allocate().
  const Tensor& padded_value() const { return padded_value_; }
  bool frozen() const { return rate == 0; }
  // Its values lie in the host's memory, which the device reads over the bus.
  bool on_host() const { return on_host_; }
  // Of what is here: fewer rows where it is split.
  Shape shape_here() const {
    return split.ranks == 1 ? shape : Shape{split.rows_here(shape[0]), shape[1]};
  }

 private:
  friend class ParameterStore;
  bool is_made(std::int64_t row) const {
    return !made_late() || (made_K8_.data<std::uint8_t>()[row / 8] >> row % 8 & 1) != 0;
  }
  const ParameterStore* store_ = nullptr;
  std::uint64_t seed_ = 0;
  Tensor value_, padded_value_;
  Tensor made_K8_;  // a bit a row of what is here
  bool on_host_ = false;
};

class ParameterStore {
 public:
  ParameterStore() = default;
  ParameterStore(const ParameterStore&) = delete;
  ParameterStore& operator=(const ParameterStore&) = delete;

  // The reference stays valid. Throws on a name given twice.
  Parameter& declare(const std::string& name, Shape shape, Initialiser initialiser,
                     Decay decay = Decay::yes, Access access = Access::whole);

  // Lays out and initialises all that was declared; call once. Values depend on (seed, name,
  // element) alone. Gradients are zero. Every parameter begins at a multiple of 256 bytes, and is
  // given elements that nobody reads, zeros, so that `pieces` equal pieces of it are whole rows of
  // what is read by rows, and multiples of 16 bytes of what is not. Neighbours that are not read by
  // rows lie without a gap. Of what may be split, the rows of `split` alone take room, cut into
  // pieces / split.ranks pieces; it is as large on every rank.
  // apart: for tables that lie apart; in files, their rows are made late. Null: they lie in the
  // context's memory.
  void allocate(Context& ctx, std::uint64_t seed, int pieces = 1, RowSplit split = {},
                TableMemory* apart = nullptr);
  // Lays out likewise, for a model that is used and not trained: no gradients, and no values but
  // those that the caller writes.
  void allocate_to_load(Context& ctx, int pieces = 1, RowSplit split = {},
                        TableMemory* apart = nullptr);

  // Called before each read of a parameter through value(): whoever brings values from elsewhere
  // makes the compute stream wait for them there. None: nothing is on its way.
  void set_before_read(std::function<void(const Parameter&)> before_read) {
    before_read_ = std::move(before_read);
  }

  std::deque<Parameter>& parameters() { return parameters_; }
  const std::deque<Parameter>& parameters() const { return parameters_; }
  std::int64_t numel() const { return numel_; }  // of all parameters, wherever their rows are
  Tensor& values() { return values_P; }
  Tensor& gradients() { return gradients_P; }

 private:
  friend struct Parameter;
  std::deque<Parameter> parameters_;  // a deque: references stay valid
  std::int64_t numel_ = 0;
  Tensor values_P;
  Tensor gradients_P;  // absent where nothing is trained
  std::function<void(const Parameter&)> before_read_;
};

}  // namespace seqrank
