// Pictures, drawn by the program gnuplot. Knows no numbers.
#pragma once

#include <string>

namespace seqrank {

// Throws Error(usage) where there is no gnuplot to be found.
void check_gnuplot();

// Runs `script` with an SVG file as output, which is there whole or not at all. Throws Error(data)
// when it cannot be written, or gnuplot fails.
void draw_svg(const std::string& path, const std::string& script);

}  // namespace seqrank
