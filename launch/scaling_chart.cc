// Medians with their ranges over repeats, as a gnuplot script.
#include "launch/scaling_chart.h"

#include <fmt/format.h>

#include <algorithm>

#include "launch/gnuplot.h"

namespace seqrank {
namespace {

struct Series {
  std::string title;
  Load load;
  bool overlap;
};

// "ranks median least most" a line, in per cent.
std::string data_of(const ScalingAtWidth& at, const Series& series) {
  std::string lines;
  for (const ScalingPoint& point : at.points) {
    const bool first = point.load == Load::one;
    if (!first && (point.load != series.load || point.overlap != series.overlap)) continue;
    const Spread spread = spread_of(point.efficiencies);
    lines += fmt::format("{} {} {} {}\n", point.ranks, 100 * spread.median, 100 * spread.least,
                         100 * spread.most);
  }
  return lines;
}

}  // namespace

void draw_scaling(const ScalingBench& bench, const std::string& path) {
  std::string data, plots;
  int number = 0;
  for (const ScalingAtWidth& at : bench.widths) {
    for (const Series& series :
         {Series{"weak", Load::weak, true}, Series{"weak, not overlapped", Load::weak, false},
          Series{"strong", Load::strong, true},
          Series{"strong, not overlapped", Load::strong, false}}) {
      const std::string lines = data_of(at, series);
      if (std::count(lines.begin(), lines.end(), '\n') < 2) continue;  // not measured
      data += fmt::format("$series{} << END\n{}END\n", ++number, lines);
      plots += fmt::format(", $series{} using 1:2:3:4 with yerrorlines title 'width {}, {}'",
                           number, at.width, series.title);
    }
  }
  draw_svg(path, data +
                     "set title 'Efficiency over ranks: median and range over repeats'\n"
                     "set xlabel 'ranks'\nset ylabel 'efficiency, %'\n"
                     "set yrange [0:*]\nset logscale x 2\nset grid\nset key bottom left\n"
                     "plot 100 with lines dashtype 2 title 'ideal'" +
                     plots + "\n");
}

}  // namespace seqrank
