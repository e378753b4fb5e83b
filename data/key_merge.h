// Records (key, place in the file, content) sorted by key, in step with keys that rise. Joins two
// files without a table of either.
#pragma once

#include <string>
#include <string_view>

#include "data/external_sort.h"
#include "data/record.h"

namespace seqrank {

class KeyMerge {
 public:
  explicit KeyMerge(ExternalSort& records) : records_(records) { advance(); }

  // The content of this key (as put_key wrote it), the first one given; nothing: it has none. Keys
  // must not fall from call to call; further records of a key are passed over.
  const std::string* find(std::string_view key) {
    while (more_ && key_ < key) advance();
    return more_ && key_ == key ? &content_ : nullptr;
  }

 private:
  void advance() {
    std::string_view record;
    more_ = records_.next(record);
    if (!more_) return;
    key_ = take_key(record);
    take_number(record, 6);
    content_ = record;
  }

  ExternalSort& records_;
  std::string key_, content_;
  bool more_ = false;
};

}  // namespace seqrank
