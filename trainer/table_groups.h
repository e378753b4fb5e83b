// Groups of ranks that split tables by row: each group holds all rows, dealt round over its ranks,
// and the groups hold the same. So what a group does for its ranks (hidden states gathered, scores)
// does not grow with the number of ranks, and a row's dense gradient is summed across groups alone.
// Among all ranks each row has one owner, which updates it: of the rows at one place of the groups,
// each group's rank owns an equal piece. Holds no rows.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "collective/communicator.h"
#include "models/nn/parameter.h"
#include "models/options.h"

namespace seqrank {

class TableGroups {
 public:
  // Every rank alone: tables are whole on each.
  TableGroups() = default;
  // Collective; blocks. how: "node", the ranks of a host; "all"; or N, so many ranks that follow
  // each other (all where there are fewer). Throws Error(usage) where groups would differ in size.
  TableGroups(const Communicators& ranks, const std::string& how);

  int size() const { return size_; }  // ranks of a group
  RowSplit split() const { return {place_, size_}; }
  // Which group is that of this rank, which is `rank` of the world.
  int group(int rank) const { return size_ == 1 ? rank : group_; }
  // The rank of the world at a place of a group.
  int rank_at(int group, int place) const {
    return size_ == 1 ? group : rank_at_[group * size_ + place];
  }

  // Between tensors of devices: of the ranks of this group by place; of the ranks at this place of
  // all groups. Absent where every rank is alone.
  Communicator* within() const { return within_.get(); }
  Communicator* across() const { return across_.get(); }

 private:
  int size_ = 1, place_ = 0, group_ = 0;
  std::vector<int> rank_at_;  // [groups, size]
  std::shared_ptr<Communicator> within_, across_;
};

// As the options "table.*" say, for what `parameters` declare that may be split. Collective.
// Throws Error(usage) as above, and where there is nothing to split.
TableGroups table_groups(const Options& options, const Communicators& ranks,
                         const ParameterStore& parameters);

// Who owns which row of a table.
class RowOwners {
 public:
  // rank, world: this rank's among all.
  RowOwners(const TableGroups& groups, std::int64_t rows, int rank, int world);

  std::int64_t rows() const { return rows_; }                // of the table
  std::int64_t rows_a_rank() const { return rows_a_rank_; }  // the most that one owns
  struct Seat {
    int owner;         // rank of the world
    std::int64_t row;  // counted from the owner's first
  };
  Seat seat_of(std::int64_t id) const {
    const std::int64_t there = id / groups_.size(), group = there / rows_a_rank_;
    return {groups_.rank_at(static_cast<int>(group), static_cast<int>(id % groups_.size())),
            there - group * rows_a_rank_};
  }
  // Of the rows that lie here, [begin, end) are this rank's own.
  Communicator::Range own() const { return own_; }
  // The row of the table that its row `row` is.
  std::int64_t own_id(std::int64_t row) const {
    return groups_.split().row_of_table(own_.begin + row);
  }

 private:
  TableGroups groups_;
  std::int64_t rows_, rows_a_rank_;
  Communicator::Range own_;
};

}  // namespace seqrank
