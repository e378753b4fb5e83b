// Options as INI text: [section], key = value, whole-line comments (# or ;), dotted keys. Reads
// what people's editors leave behind (UTF-8 byte order mark, CRLF) and refuses what is ambiguous (a
// key given twice). Knows neither which keys exist nor what they may hold: Options does.
#pragma once

#include <string>
#include <vector>

#include "models/options.h"

namespace seqrank {

struct IniEntry {
  std::string key;  // dotted: [model] width is "model.width"
  std::string value;
  std::string where;  // "ml.ini:12"
};

// Throws Error(usage) naming file, line and rule. `name` is what messages call the text.
std::vector<IniEntry> parse_ini(const std::string& text, const std::string& name);
std::vector<IniEntry> read_ini(const std::string& path);

// All options as they stand, in the order of declaration within each section, with their help as
// comments; those without a value as a comment. parse_ini reads it back to the same values.
std::string to_ini(const Options& options);

}  // namespace seqrank
