// Results as JSON for programs: the one option that names the file, and the shapes of what several
// commands report. Tables for people are made where they are printed.
#pragma once

#include <string>
#include <vector>

#include "models/options.h"

namespace seqrank {

struct Evaluation;

// "json".
OptionSpec json_option();
// Throws Error(usage) where --json names what another option reads or writes: it would replace it.
void check_json_path(const Options& given);

// A result under its name.
struct NamedEvaluation {
  std::string name;
  const Evaluation* evaluation;
};

// The first is the result, in the documented form; the others go under "baselines".
std::string evaluation_json(const std::vector<NamedEvaluation>& results);

// One table: a line each, and by how much the first is ahead of each baseline, user by user, with
// the standard error of that difference.
std::string evaluation_table(const std::vector<NamedEvaluation>& results);

}  // namespace seqrank
