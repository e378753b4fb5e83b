// Rows of tables between the ranks that look them up and the ranks that own them: values in
// forward, gradients in backward, each row once a rank. Every row has one owner among all ranks,
// which holds its newest values: of a table that is whole on every rank (or group of ranks, over
// which its rows are dealt) each owns an equal piece of the rows that lie there
// (ParameterStore::allocate in as many pieces as ranks). Which rows a step reads is told a step
// ahead, between hosts, so that nobody has to ask a device. Knows no buckets.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "collective/communicator.h"
#include "models/nn/tape.h"
#include "trainer/table_groups.h"

namespace seqrank {

// no: every exchange is waited for where it starts, which is what overlap is measured against. The
// same bits either way.
enum class Overlap { yes, no };

// Rows of a table that lies apart, which this rank owns and some rank looked up in a step.
struct TouchedRows {
  const Parameter* table = nullptr;
  Tensor id_U;  // distinct, counted from the first row that this rank owns
  Tensor g_UD;  // their gradients, summed over ranks
};

class RowExchange {
 public:
  // rows: of every table that is looked up; all have the same, and are split over `groups`.
  RowExchange(Context& ctx, const Communicators& ranks, std::int64_t rows, Overlap overlap,
              const TableGroups& groups = {});
  RowExchange(const RowExchange&) = delete;
  RowExchange& operator=(const RowExchange&) = delete;

  // All of these are collective, also for ranks without ids; ids are distinct, rising, and host
  // memory that is not written to again.
  //
  // A step begins that looks up `id_U`, given as `next_id_U` when the step before began; where that
  // was not so, as in the first step, the ranks tell each other now, and the host waits.
  // next_id_U: of the step after. Absent: nothing is looked up, or it is not known yet.
  void begin(const Tensor& id_U, const Tensor& next_id_U);
  // Tells the ranks next_id_U, once a step. Nothing waits.
  void tell_next();

  // The rows of the step's ids, which id_U holds on the device. All ranks make the same look-ups in
  // the same order, and give back likewise. The values are the owners'.
  FetchedRows fetch(Parameter& table_VD, const Tensor& id_U);

  // Adds what was given back to the gradients of the rows that this rank owns: look-up by look-up,
  // each in the order of the ranks. The compute stream has waited for the communication stream.
  void add_given_back();
  // What it added up for tables that lie apart, which have no other gradients; until the next step.
  const std::vector<TouchedRows>& touched() const { return touched_; }
  const RowOwners& owners() const { return owners_; }

 private:
  // Of one step.
  struct Route {
    Tensor id_U;
    std::vector<std::int64_t> asked;  // rows this rank looks up, by owner
    // Of each id its place among those asked for, which lie by owner, and the way back; absent
    // where both orders are the same.
    Tensor place_U, order_U;
    // Ids of rows of its own that it serves, by rank, counted from its first row; there at `told`.
    std::shared_ptr<const Communicator::Counted> served;
    Event told;
    Tensor own_id_R;  // the same, on the device
  };
  struct Arrival {
    const Parameter* table;
    std::shared_ptr<const Communicator::Counted> served;  // ids, by the rank that gives them back
    Tensor own_id_R;                                      // likewise, on the device
    Tensor drow_RD;
    Tensor drow_UD;  // sent: not to be given to others before the compute stream has waited
  };

  Route tell(const Tensor& id_U);
  void sort_by_owner(Route& route, std::span<const RowOwners::Seat> seats);
  void give_back(const Parameter& table_VD, const Route& route, const Tensor& drow_UD);
  TouchedRows summed(const Arrival& arrival);
  // Of the table's values or gradients, as they lie here, the rows that this rank owns.
  Tensor own_rows(const Tensor& here_KD, const Parameter& table_VD) const;

  Context& ctx_;
  Communicators ranks_;
  TableGroups groups_;
  RowOwners owners_;  // of the rows of a table
  Overlap overlap_;
  Route now_, next_;  // of this step and of the one after
  std::vector<Arrival> arrivals_;
  std::vector<TouchedRows> touched_;
};

}  // namespace seqrank
