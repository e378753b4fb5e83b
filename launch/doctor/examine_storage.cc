// Data set, run folder and disk. Errors of the data set come as opening it said them.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "launch/doctor/examine.h"
#include "launch/memory_size.h"

namespace seqrank {
namespace {

// One finding for each value but "" that `value` takes, with the ranks that have it.
template <class Value, class Make>
void group(const std::vector<StorageFacts>& storage, std::vector<Finding>& findings, Value&& value,
           Make&& make) {
  for (std::size_t rank = 0; rank < storage.size(); ++rank) {
    const std::string text = value(storage[rank]);
    if (text.empty()) continue;
    Finding finding = make(storage[rank], text);
    finding.ranks = {static_cast<int>(rank)};
    findings.push_back(std::move(finding));
  }
}

void examine_data(const std::vector<StorageFacts>& storage, std::vector<Finding>& findings) {
  group(
      storage, findings, [](const StorageFacts& facts) { return facts.data_error; },
      [](const StorageFacts& facts, const std::string& text) -> Finding {
        return {"data", Severity::error, static_cast<ErrorKind>(facts.data_error_code), text, "",
                {}};
      });
  std::map<std::string, int> prints;
  for (const StorageFacts& facts : storage) {
    if (!facts.fingerprint.empty()) ++prints[facts.fingerprint];
  }
  if (prints.size() < 2) return;
  const auto usual =
      std::max_element(prints.begin(), prints.end(),
                       [](const auto& a, const auto& b) { return a.second < b.second; });
  group(
      storage, findings,
      [&](const StorageFacts& facts) {
        return facts.fingerprint == usual->first ? "" : facts.fingerprint;
      },
      [&](const StorageFacts& facts, const std::string& print) -> Finding {
        return {"data-fingerprint",
                Severity::error,
                ErrorKind::data,
                fmt::format("{} is another data set than elsewhere: fingerprint {}, elsewhere {}",
                            facts.data, print, usual->first),
                "give all ranks the same file",
                {}};
      });
}

void examine_run_folder(const std::vector<StorageFacts>& storage, std::vector<Finding>& findings) {
  group(
      storage, findings, [](const StorageFacts& facts) { return facts.run_error; },
      [](const StorageFacts&, const std::string& text) -> Finding {
        return {"run-folder",
                Severity::error,
                ErrorKind::checkpoint,
                "the run folder cannot be written: " + text,
                "give --run a folder that every rank can write, on a file system that all hosts "
                "share",
                {}};
      });
  // Without rank 0's token there was nothing to be seen.
  if (!storage[0].run_error.empty() || storage[0].run.empty()) return;
  group(
      storage, findings,
      [](const StorageFacts& facts) {
        return facts.run_error.empty() && !facts.token_seen ? facts.run : "";
      },
      [](const StorageFacts&, const std::string& run) -> Finding {
        return {"run-folder-not-shared",
                Severity::error,
                ErrorKind::checkpoint,
                fmt::format("{} is not the folder that rank 0 has under this name", run),
                "give --run a folder on a file system that all hosts share, and start all ranks in "
                "the same folder or write its whole path",
                {}};
      });
}

// By file system: what the tables in files of its ranks take of it. The run folder's is one for all
// hosts.
struct TableFiles {
  std::int64_t bytes = 0, free = 0;
  std::string folder;
  std::vector<int> ranks;
};
std::map<std::string, TableFiles> table_files(const std::vector<StorageFacts>& storage) {
  std::map<std::string, TableFiles> systems;
  for (std::size_t rank = 0; rank < storage.size(); ++rank) {
    const StorageFacts& facts = storage[rank];
    if (facts.table_bytes == 0) continue;
    TableFiles& files = systems[facts.table_system];
    files.bytes += facts.table_bytes;
    files.free = facts.table_free;
    files.folder = facts.table_folder;
    files.ranks.push_back(static_cast<int>(rank));
  }
  return systems;
}

void examine_table_files(const std::map<std::string, TableFiles>& systems,
                         std::vector<Finding>& findings) {
  for (const auto& [system, files] : systems) {
    if (files.bytes <= files.free) continue;
    findings.push_back(
        {"table-files", Severity::error, ErrorKind::device,
         fmt::format("the file system of {} has {} free, tables in files take {}", files.folder,
                     memory_words(files.free), memory_words(files.bytes)),
         "make room, or give --table.folder one on a larger file system", files.ranks});
  }
}

void examine_disk(const std::vector<StorageFacts>& storage,
                  const std::map<std::string, TableFiles>& systems,
                  std::vector<Finding>& findings) {
  const StorageFacts& facts = storage[0];
  if (facts.run.empty() || facts.parameters < 0 || !facts.run_error.empty()) return;
  const auto beside = systems.find("run");  // reserved before the first checkpoint
  const std::int64_t tables = beside != systems.end() ? beside->second.bytes : 0;
  const std::int64_t left = facts.free_bytes - tables;
  if (left < 0) return;  // examine_table_files() says so
  const std::int64_t one = checkpoint_bytes(facts.saved, storage.size());
  const std::int64_t needed = facts.checkpoints > 0 ? 1 : 2;  // the next one replaces the oldest
  if (left >= one * needed) return;
  findings.push_back(
      {"disk",
       left < one ? Severity::error : Severity::warning,
       ErrorKind::checkpoint,
       fmt::format("the file system of {} has {} free, two checkpoints take {}{}", facts.run,
                   memory_words(facts.free_bytes), memory_words(one * 2),
                   tables > 0 ? " beside tables in files of " + memory_words(tables) : ""),
       "make room, or give --run a folder on a larger file system",
       {0}});
}

void examine_locks(const std::vector<StorageFacts>& storage, std::vector<Finding>& findings) {
  group(
      storage, findings,
      [](const StorageFacts& facts) {
        return facts.lock_error == 0 ? "" : std::string(std::strerror(facts.lock_error));
      },
      [](const StorageFacts& facts, const std::string& reason) -> Finding {
        return {"no-locks",
                Severity::note,
                ErrorKind::data,
                fmt::format("{}: its file system cannot lock it ({}); it is read all the same",
                            facts.data, reason),
                "but a program that still writes it goes unnoticed: let `seqrank prepare` end "
                "first",
                {}};
      });
}

}  // namespace

std::int64_t checkpoint_bytes(std::int64_t elements, std::size_t ranks) {
  constexpr std::int64_t kDescription = 64 << 10;  // of a shard: names, ranges, sums, HDF5's own
  return elements * std::int64_t{sizeof(float)} + kDescription * static_cast<std::int64_t>(ranks);
}

std::vector<Finding> examine_storage(const std::vector<StorageFacts>& storage) {
  std::vector<Finding> findings;
  examine_data(storage, findings);
  group(
      storage, findings, [](const StorageFacts& facts) { return facts.model_error; },
      [](const StorageFacts&, const std::string& text) -> Finding {
        return {"model", Severity::error, ErrorKind::usage, text, "", {}};
      });
  examine_run_folder(storage, findings);
  const auto tables = table_files(storage);
  examine_table_files(tables, findings);
  examine_disk(storage, tables, findings);
  examine_locks(storage, findings);
  return merged(findings);
}

}  // namespace seqrank
