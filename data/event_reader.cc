// The inputs, then the file of test sequences, through one count of lines.
#include "data/event_reader.h"

#include <utility>

#include "backend/check.h"

namespace seqrank {
namespace {

struct Source {
  std::string path;
  std::optional<Split> split;  // of all its lines
};

std::vector<Source> sources_of(const PrepareOptions& options) {
  std::vector<Source> sources;
  const auto split = options.test_input.empty() ? std::nullopt : std::optional(Split::train);
  for (const std::string& path : options.inputs) sources.push_back({path, split});
  if (!options.test_input.empty()) sources.push_back({options.test_input, Split::test});
  return sources;
}

void say_columns(const ColumnReader& in, const EventParser::Columns& columns,
                 PrepareReport& report) {
  const ColumnNames& names = in.columns();
  report.user_column = columns.user ? names.name(*columns.user) : "";
  report.item_column = names.name(columns.item);
  report.time_column = columns.time ? names.name(*columns.time) : "";
  report.separator = in.separator();
}

}  // namespace

void read_events(const PrepareOptions& options, std::vector<ValueColumn>& values,
                 PrepareReport& report, const std::function<void(const PrepareProgress&)>& progress,
                 const std::function<void(const TextEvent&)>& sink) {
  BadLines bad;
  std::optional<bool> timed;
  bool histories = false;
  for (const Source& source : sources_of(options)) {
    ColumnReader in(
        source.path, options.separator,
        options.has_header ? ColumnReader::Header::first_line : ColumnReader::Header::none,
        options.columns);
    EventParser parser(in, options, values, source.split);
    const bool has_time = parser.columns().time.has_value();
    SR_CHECK(!timed || *timed == has_time, ErrorKind::data,
             "{}: one input has a time column and another has none; choose with --time",
             source.path);
    timed = has_time;
    histories = histories || parser.columns().history;
    if (source.split != Split::test) say_columns(in, parser.columns(), report);
    std::string reason;
    for (std::uint64_t place = 1; in.next(); ++place) {
      const auto row = static_cast<std::uint64_t>(++report.lines);
      const auto* fields = in.fields(reason);
      if (!fields || !parser.parse(*fields, place, row, sink, reason))
        bad.add(in.reader(), std::exchange(reason, {}));
      if (progress && report.lines % 65536 == 0)
        progress({"reading lines", in.reader().bytes_read(), in.reader().bytes_total()});
    }
  }
  report.bad_lines = bad.count();
  report.first_bad_lines = bad.first();
  const std::string what = options.inputs.size() == 1 ? options.inputs[0] : "the inputs";
  SR_CHECK(report.lines > 0, ErrorKind::data, "{}: a header and no lines of data", what);
  SR_CHECK(histories || options.history_column.empty(), ErrorKind::data,
           "{}: there is no column '{}'; choose with --history-column", what,
           options.history_column);
  bad.check(what, report.lines, options.bad_line_limit);
}

}  // namespace seqrank
