// Declared options: one table gives the parser, the --help text, the checks and the documentation.
// A value is kept as text and read with its type; the declaration says what is allowed.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace seqrank {

enum class OptionKind { integer, real, flag, choice, text };  // flag: yes or no

struct OptionSpec {
  std::string key;  // "model.width"
  OptionKind kind;
  std::string default_value;  // "" = none
  std::string help;           // one line, with units
  std::string allowed = {};   // choice: "lstm|gru"; integer, real: "1.." or "0..0.99" (inclusive)
};

class Options {
 public:
  Options() = default;
  explicit Options(const std::vector<OptionSpec>& specs);  // defaults

  // Throws Error(usage): unknown key with the nearest declared one, wrong type, out of range.
  // `where` ("command line", "ml.ini:12") goes into the message.
  void set(const std::string& key, const std::string& value, const std::string& where);
  void declare(const std::vector<OptionSpec>& specs);  // adds options with their defaults

  bool declares(const std::string& key) const { return values_.contains(key); }
  bool has(const std::string& key) const;  // declared and not empty
  std::int64_t integer(const std::string& key) const;
  double real(const std::string& key) const;
  bool flag(const std::string& key) const;
  const std::string& text(const std::string& key) const;  // also choices

  const std::vector<OptionSpec>& specs() const { return specs_; }

 private:
  const OptionSpec& spec(const std::string& key) const;
  std::vector<OptionSpec> specs_;
  std::map<std::string, std::string> values_;
};

// The candidate that `name` was probably meant to be: by edit distance, of the whole name or of
// what follows its last dot ("batch" finds "train.batch"). "" when none is near.
std::string nearest_name(const std::string& name, const std::vector<std::string>& candidates);

}  // namespace seqrank
