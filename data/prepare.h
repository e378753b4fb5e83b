// Delimited text -> data set, in fixed memory whatever the input: keys are numbered by external
// sorting and merging, never by a table of keys. Only a 4-byte counter per distinct item is held on
// top. The result depends on the events, not on the order of the lines (but for ties in time).
// Splits only as the input says; without that, splitting is the loader's part.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "data/protocol.h"

namespace seqrank {

// A text file of features: a key, and columns by name ("genre", "year:number"); of a list of values
// ("Drama|Crime") the first counts.
struct FeatureFile {
  std::string path;  // empty: none
  std::string key_column;
  std::vector<std::string> features;
  std::vector<std::string> columns;  // names where the file has no header
  std::string separator;
};

// Column names may come with or without RecBole's type suffix ("user_id:token"), or as numbers
// from 1. An empty name is guessed from common names; PrepareReport says what was taken.
struct PrepareOptions {
  std::vector<std::string> inputs;  // one or more; "-": standard input; .gz and .zst are unpacked
  std::string output;               // the data set; replaced only when everything is done
  std::string user_column;
  std::string item_column;
  std::string time_column;           // "none": the order of the lines is the order of time
  bool has_header = true;            // of every input
  std::vector<std::string> columns;  // names where there is no header; else empty
  std::string separator;             // empty: guessed from the name and the first line

  std::string titles;  // a text file of item key and title; empty: none
  std::string titles_item_column;
  std::string titles_title_column;
  std::vector<std::string> titles_columns;  // names where the titles file has no header
  std::string titles_separator;

  // What else is kept of events; empty: nothing.
  std::string action_column;
  std::string domain_column;
  std::string label_column;                 // 0 and 1, or numbers:
  std::optional<double> positive;           // the label is 1 from this number on
  std::vector<std::string> event_features;  // as FeatureFile::features
  FeatureFile user_features, item_features;
  std::int64_t min_count = 1;  // values of features that are seen less often count as unknown

  // A sequence ends before a pause longer than this; its events' user may have several.
  std::int64_t session_gap = 0;  // seconds; 0: a user's events are one sequence

  // Inputs (or the test file) with this column are rows of a history and what follows it: each is a
  // sequence, of the items in this column, separated by commas or spaces, and then the target. Only
  // the targets of rows that are not for training are to be predicted. The user may be missing.
  std::string history_column;
  std::string history_labels_column;  // of labels, in step with the items
  std::string target_column;          // guessed if empty

  // Splits; at most one of the three. What begins with one of the texts is of that split (the first
  // that fits); in a column or a key that begins with none of them is a bad line.
  std::string test_input;        // a file whose sequences are the test split
  std::string split_column;      // by its text
  bool split_by_prefix = false;  // by the key of the user
  std::vector<std::string> training_names = {"train"};
  std::vector<std::string> validation_names = {"valid", "eval", "dev"};
  std::vector<std::string> test_names = {"test"};
  double validation_share = 0;  // of the training sequences, those with the last keys
  // Of sequences that are not for training only the last event is to be predicted, as with
  // history_column; otherwise every one but the first.
  bool last_targets_only = false;

  // Filters, in this order: the latest max_length events of a user; then, until nothing changes,
  // items with fewer than core_item events and users with fewer than core_user go.
  std::int64_t max_length = 0;  // events; 0: any
  std::int64_t core_user = 1;   // events
  std::int64_t core_item = 1;   // events

  // Then, of what is left:
  std::int64_t interests = 0;  // groups of items, found and written as their feature; 0: none
  // Whose training events they are found in; nothing: session where the input says splits, else p1.
  std::optional<ProtocolOptions> interests_for;
  std::string keep_domain;  // then only events of this scene are written; empty: all

  double bad_line_limit = 0.001;                    // share of lines; more: Error(data)
  std::size_t memory_bytes = std::size_t{1} << 30;  // resident, all in all; at least 1 MiB
  std::string temp_folder;                          // empty: the folder of the output
};

struct BadLine {
  std::string file;
  std::int64_t line;  // from 1, the header counted
  std::string reason;
};

struct PrepareReport {
  std::string user_column, item_column, time_column;  // as taken; time "": order of the lines
  std::string separator;
  std::int64_t lines = 0;  // without header and blank lines
  std::int64_t bad_lines = 0;
  std::vector<BadLine> first_bad_lines;  // at most 10

  std::int64_t users = 0;  // as written, as all that follow
  std::int64_t items = 0;
  std::int64_t events = 0;
  std::int64_t training = 0, validation = 0, test = 0;  // sequences; all 0: not split
  std::int64_t items_untrained = 0;                     // items that no training sequence has
  std::int64_t users_without_features = 0;
  std::int64_t items_without_features = 0;
  std::int64_t titles = 0;          // items with a title
  std::int64_t bad_titles = 0;      // lines of the titles file that could not be used
  std::int64_t bad_features = 0;    // likewise, of the files of features
  double tie_rate = 0;              // events at the same second as the one before them, per event
  std::int64_t events_too_old = 0;  // dropped: beyond max_length
  std::int64_t events_rare_item = 0;
  std::int64_t events_short_user = 0;
  std::int64_t events_other_domain = 0;
  std::int64_t users_dropped = 0;
  std::int64_t items_dropped = 0;
  int core_rounds = 0;

  double seconds = 0;
  double lines_per_second = 0;
  std::int64_t temp_bytes = 0;     // most at a time
  std::int64_t counter_bytes = 0;  // beyond memory_bytes
};

struct PrepareProgress {
  const char* stage;
  std::int64_t done;
  std::int64_t total;  // 0: not known
};

// Equal times of one user: the order of the lines decides. Item ids: by falling number of events,
// then by key. Sequences: by key of the user, then by split, then in the order of rows or of time.
// Keys are ordered by length, then by bytes, so plain
// numbers come in numeric order. Text that is not UTF-8 is read as Latin-1.
// Bad lines (number of columns, empty or overlong key, time, NUL byte, unclosed quote) are counted;
// blank ones are ignored. On any error nothing is left under the output's name.
PrepareReport prepare(const PrepareOptions& options,
                      const std::function<void(const PrepareProgress&)>& progress = nullptr);

}  // namespace seqrank
