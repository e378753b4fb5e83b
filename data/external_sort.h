// Sorts any number of byte records (at most 65,535 bytes each) by memcmp in fixed memory: runs are
// sorted and written on a second thread while the next one is filled, then merged, in several
// levels where there are many. Records that are equal come out as often as they went in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <future>
#include <memory>
#include <string_view>
#include <vector>

#include "data/temp_file.h"

namespace seqrank {

struct SortMemory {
  std::size_t runs;   // bytes while records are added
  std::size_t merge;  // bytes while they are read back
};

class RunMerge;

class ExternalSort {
 public:
  ExternalSort(TempFolder& folder, SortMemory memory);
  ~ExternalSort();

  void add(std::string_view record);
  // Ends adding. From here on only merge memory is held.
  void finish();
  // The next record in order, valid until the next call; false at the end.
  bool next(std::string_view& record);

  std::int64_t records() const { return records_; }
  std::int64_t runs_written() const { return runs_written_; }

 private:
  struct Entry {
    std::uint64_t prefix;  // eight bytes of the record at the depth now sorted by
    std::uint32_t offset;
    std::uint32_t size;
  };
  // Bytes grow from the front, entries from the back.
  struct Arena {
    std::unique_ptr<char[]> bytes;
    std::size_t used = 0;
    std::size_t entries = 0;
  };
  using Run = std::unique_ptr<TempFile>;

  Entry* entries_of(Arena& arena) const;
  void sort_entries(const char* bytes, Entry* first, Entry* last, std::size_t depth) const;
  void start_spill();
  void spill(Arena& arena);
  void merge_level(std::size_t level);
  void wait();

  TempFolder& folder_;
  const SortMemory memory_;
  const std::size_t arena_bytes_;
  const std::size_t fan_in_;
  Arena filling_, spilling_;
  std::int64_t records_ = 0;
  std::int64_t runs_written_ = 0;             // by the second thread; read after wait()
  std::vector<std::vector<Run>> runs_level_;  // likewise
  std::unique_ptr<RunMerge> merge_;
  std::future<void> spill_;  // last: destroyed, and so waited for, first
};

}  // namespace seqrank
