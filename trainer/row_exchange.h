// Rows of tables between the ranks that look them up and the ranks that own them: values in
// forward, gradients in backward, each row once a rank. Every rank owns an equal piece of a table's
// rows (ParameterStore::allocate with as many row_pieces as ranks). Knows no buckets.
#pragma once

#include <cstdint>
#include <vector>

#include "collective/communicator.h"
#include "models/nn/tape.h"

namespace seqrank {

// no: every exchange is waited for where it starts, which is what overlap is measured against. The
// same bits either way.
enum class Overlap { yes, no };

class RowExchange {
 public:
  RowExchange(Context& ctx, Communicator& comm, Overlap overlap)
      : ctx_(ctx), comm_(comm), overlap_(overlap) {}
  RowExchange(const RowExchange&) = delete;
  RowExchange& operator=(const RowExchange&) = delete;

  // Collective, and so is giving back: all ranks make the same look-ups in the same order, also
  // those without ids. The values are the owners'. The host waits for the number of rows that the
  // others ask for, so that it is known in backward; a device must come to know it a step ahead.
  FetchedRows fetch(Parameter& table_VD, const Tensor& id_U);

  // Adds what was given back to the gradients of the rows that this rank owns: look-up by look-up,
  // each in the order of the ranks. The compute stream has waited for the communication stream.
  void add_given_back();

 private:
  // Of one look-up.
  struct Route {
    std::vector<std::int64_t> asked;   // rows this rank looks up, by owner
    std::vector<std::int64_t> served;  // rows of its own that it serves, by rank
    Tensor own_id_R;                   // those it serves, counted from its first row
  };
  struct Arrival {
    Tensor gradient_KD;  // view: the rows this rank owns
    Tensor own_id_R;
    Tensor drow_RD;
  };

  Route make_route(std::int64_t own_rows, const Tensor& id_U);
  void give_back(const Parameter& table_VD, const Route& route, const Tensor& drow_UD);
  // Of the table's values or gradients, the rows that this rank owns.
  Tensor own_rows(const Tensor& whole_VD, const Parameter& table_VD) const;

  Context& ctx_;
  Communicator& comm_;
  Overlap overlap_;
  std::vector<Arrival> arrivals_;
};

}  // namespace seqrank
