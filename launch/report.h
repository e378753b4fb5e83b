// Results as JSON for programs: the one option that names the file, and the shapes of what several
// commands report. Tables for people are made where they are printed.
#pragma once

#include <string>
#include <vector>

#include "models/options.h"
#include "trainer/evaluate_lists.h"

namespace seqrank {

// "json".
OptionSpec json_option();

// A model, asked once or, trained with several seeds, as often.
struct EvaluatedModel {
  std::string part;  // of the JSON where it goes, "against" or "baselines"; the first: ""
  std::vector<std::string> names;  // run folders, or the name of a counted model
  std::vector<Evaluation> seeds;   // by name
};

std::vector<const Evaluation*> pointers(const EvaluatedModel& model);

// How questions are grouped, and what is known of them where they are.
struct Groupings {
  std::vector<std::string> by = {};  // launch/report_details.h
  Known known = {};
};

// The first is the result, in the documented form: means over seeds; where there are several also
// "deviation_over_seeds" and each of the "seeds". The others go into lists under their parts. Each
// has its groups under "by".
std::string evaluation_json(const std::vector<EvaluatedModel>& results, const Groupings& groupings);

// One table: a line each, with the standard deviation over seeds in brackets, and by how much the
// first is ahead of each other, user by user (means over seeds), with the standard error of that
// difference and in brackets how many of them it is.
std::string evaluation_table(const std::vector<EvaluatedModel>& results);

}  // namespace seqrank
