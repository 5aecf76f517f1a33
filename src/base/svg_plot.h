// base/svg_plot.h - line plots as SVG text: loss curves in reports and beside training runs.
//
// The picture follows the reader's light or dark setting through prefers-color-scheme, needs no
// script and no font of ours, and is the same bytes for the same input.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace metier {

struct PlotLine {
  std::string label;      // for the legend; empty: not listed
  std::vector<double> x;  // as long as y; points that are not finite interrupt the line
  std::vector<double> y;
  int colour = 0;      // index into the palette, wraps around
  double opacity = 1;  // raw curves under their smoothed one: 0.4
};

struct Plot {
  std::string title;
  std::string x_label;
  std::string y_label;
  std::vector<PlotLine> lines;
  int width = 720;  // pixels
  int height = 420;
  bool log_y = false;  // powers of ten at equal distances; points at or below 0 interrupt the line
};

// kInvalidArgument: a line whose x and y differ in length, a size below 100 pixels. A plot without
// a finite point says "no data".
Result<std::string> SvgPlot(const Plot& plot);

// Exponential moving average with bias correction; `weight` in [0, 1) is the share of the past.
std::vector<double> Smooth(const std::vector<double>& values, double weight);

// At most `count` + 2 round numbers (1, 2 or 5 times a power of ten) that lie in [low, high].
std::vector<double> RoundTicks(double low, double high, int count);

// The same for a logarithmic axis; requires 0 < low.
std::vector<double> RoundLogTicks(double low, double high);

}  // namespace metier
