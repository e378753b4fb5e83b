// Gradients to the ranks that own them, and updated values back. The flat block of parameters is
// cut into buckets of neighbouring parameters; each bucket leaves (reduce-scatter) while backward
// still runs, as soon as its gradients are complete, always from the last to the first, so that all
// ranks make the same calls in the same order. Every rank owns one piece of every bucket. Updated
// values come back (all-gather) while the next forward runs, from the first to the last. What is
// looked up goes by rows, apart. Of a table that is split, the ranks that hold the same rows sum
// and gather among themselves. A table that lies apart from the block is a bucket without
// gradients, which travels between steps alone.
#pragma once

#include <cstdint>
#include <vector>

#include "collective/communicator.h"
#include "models/nn/tape.h"
#include "trainer/row_exchange.h"

namespace seqrank {

struct ExchangeOptions {
  std::int64_t bucket_bytes = 1;  // a bucket is closed once it is as large
  Overlap overlap = Overlap::yes;
};

class GradientExchange {
 public:
  struct Bucket {
    std::int64_t begin = 0, end = 0;   // of the flat block, or of a table's own
    Communicator* ranks = nullptr;     // that hold the same: all, or those of a split table's rows
    Communicator::Range own{};         // this rank's piece, likewise
    const Parameter* apart = nullptr;  // a table that lies apart, alone in it
    int parameters = 0;                // that lie in it and have a dense gradient
    bool frozen = false;               // all that lie in it are
    int pending = 0;                   // of those, not complete yet
    Tensor gradient, value;            // views of the blocks
    Event gathered;                    // the newest values are here
    bool whole = true;                 // frozen: all of it is here, for good
  };

  // `store` must be allocated, in as many pieces as ranks, and outlive this. A bucket is
  // filled from its last parameter to its first, so that small ones join the large one declared
  // before them. What is read by rows or split over `groups` is a bucket of its own. Parameters
  // that are frozen by now share none with others: they send no gradients, and their values travel
  // once at most.
  GradientExchange(Context& ctx, ParameterStore& store, const Communicators& ranks,
                   const ExchangeOptions& options, const TableGroups& groups = {});
  ~GradientExchange() { store_.set_before_read({}); }
  GradientExchange(const GradientExchange&) = delete;
  GradientExchange& operator=(const GradientExchange&) = delete;

  // Zeroes all gradients; none is complete. From here on reading a parameter's values is allowed,
  // and waits for those of its bucket. id_U, next_id_U: of the rows that this step looks up, and
  // the next; see RowExchange::begin(). Absent: none.
  void begin(const Tensor& id_U = {}, const Tensor& next_id_U = {});
  // For the tape of the step: complete(), and rows fetched from their owners. A look-up before all
  // else goes before all other values, too; what the next step looks up is told after them.
  TapeHooks hooks();
  // Backward is done with p, but for rows. Sends its bucket when it and all buckets behind it are
  // complete.
  void complete(const Parameter& p);
  // Sends what is left, waits, and adds what came as rows: this rank's pieces are then the sums
  // over ranks, on the compute stream.
  void finish();
  // This rank's pieces of the values have been changed, as every other rank's. They travel in the
  // next step; until it begins, reading parameters aborts unless settle() is called.
  void values_updated() { values_ = Values::at_owners; }
  // Likewise, those of frozen parameters too: they were read from somewhere.
  void values_restored();
  // All values to all ranks, waited for by the compute stream: for whoever reads parameters between
  // steps. Collective.
  void settle();

  // Between steps, settled: for a tape that only reads. id_U: of the rows that it looks up, host
  // memory. Collective.
  TapeHooks begin_reading(const Tensor& id_U);
  TableRanks table_ranks();
  // Whether no rank can score against all rows at once: they are split, made late, or on the host.
  bool splits_tables() const { return groups_.size() > 1 || by_tiles_; }

  // Since finish(), of tables that lie apart: the rows that some rank looked up.
  const std::vector<TouchedRows>& touched_rows() const { return rows_.touched(); }
  const RowOwners& row_owners() const { return rows_.owners(); }

  // In the order in which they leave.
  const std::vector<Bucket>& buckets() const { return buckets_; }
  std::size_t sent() const { return sent_; }  // buckets, since begin()

 private:
  // Of what others own.
  enum class Values {
    here,
    at_owners,
    wanted,  // at owners, in a step
    coming,
  };
  void send_ready();
  void before_read(const Parameter& p);
  void gather(Bucket& bucket);
  void gather_dense();

  Context& ctx_;
  ParameterStore& store_;
  Communicator& comm_;  // of devices
  Overlap overlap_;
  RowExchange rows_;
  TableGroups groups_;
  std::vector<Bucket> buckets_;
  std::vector<std::size_t> bucket_of_;  // by parameter index
  bool by_tiles_ = false;               // some table is read block by block
  std::size_t sent_ = 0;
  Values values_ = Values::here;
};

}  // namespace seqrank
