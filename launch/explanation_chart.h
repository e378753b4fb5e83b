// The explanation of one recommendation as a picture.
#pragma once

#include <string>

#include "trainer/explain.h"

namespace seqrank {

// Of a column: what its numbers are.
std::string attention_title(const Explanation& explanation);

// An SVG file: a bar for each of the last events that were read, by title: its effect on the score
// and, where the model has it, its attention. Throws as draw_svg() does.
void draw_explanation(const Explanation& explanation, const std::string& path);

}  // namespace seqrank
