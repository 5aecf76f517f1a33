#include "base/svg_plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace metier {
namespace {

constexpr int kLeft = 64;
constexpr int kRight = 20;
constexpr int kTop = 40;
constexpr int kBottom = 52;
constexpr int kColours = 4;

// Okabe and Ito's palette (distinct for colour-blind readers), lightened for the dark background.
constexpr const char* kStyle =
    "<style>"
    "svg{background:#fff;color:#1f2328;font:13px system-ui,sans-serif}"
    ".g{stroke:#d0d7de}.c0{stroke:#0072b2}.c1{stroke:#d55e00}.c2{stroke:#009e73}.c3{stroke:#cc79a7}"
    "@media(prefers-color-scheme:dark){svg{background:#0d1117;color:#e6edf3}.g{stroke:#30363d}"
    ".c0{stroke:#56b4e9}.c1{stroke:#e69f00}.c2{stroke:#2fd0a3}.c3{stroke:#e5a3c9}}"
    "text{fill:currentColor}path{fill:none;stroke-width:1.6;stroke-linejoin:round}"
    "</style>";

std::string Escape(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      default: out += c;
    }
  }
  return out;
}

struct Range {
  double low = 0;
  double high = 1;
};

bool CanBeDrawn(const Plot& plot, const PlotLine& line, std::size_t i) {
  return std::isfinite(line.x[i]) && std::isfinite(line.y[i]) && (!plot.log_y || line.y[i] > 0);
}

// The drawn points' range along one axis, never empty.
bool FindRange(const Plot& plot, std::vector<double> PlotLine::*axis, Range& range) {
  bool any = false;
  for (const PlotLine& line : plot.lines) {
    for (std::size_t i = 0; i < line.x.size(); ++i) {
      if (!CanBeDrawn(plot, line, i)) continue;
      const double value = (line.*axis)[i];
      range.low = any ? std::min(range.low, value) : value;
      range.high = any ? std::max(range.high, value) : value;
      any = true;
    }
  }
  if (range.high - range.low <= 1e-12 * std::max(std::fabs(range.low), std::fabs(range.high))) {
    constexpr double kMargin = 0.1;
    const double margin = range.low == 0 ? 1 : std::fabs(range.low) * kMargin;
    range.low -= margin;
    range.high += margin;
  }
  return any;
}

class Frame {
 public:
  Frame(const Plot& plot, Range x, Range y) : plot_(plot), x_(x), y_(y) {}

  double X(double value) const {
    return kLeft + (value - x_.low) / (x_.high - x_.low) * (plot_.width - kLeft - kRight);
  }
  double Y(double value) const {
    return plot_.height - kBottom -
           (Level(value) - Level(y_.low)) / (Level(y_.high) - Level(y_.low)) *
               (plot_.height - kTop - kBottom);
  }

  std::string Axes() const {
    std::string out;
    for (const double tick :
         plot_.log_y ? RoundLogTicks(y_.low, y_.high) : RoundTicks(y_.low, y_.high, 6)) {
      out += fmt::format(
          "<line class=\"g\" x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>"
          "<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{:.6g}</text>\n",
          kLeft, plot_.width - kRight, Y(tick), Y(tick), kLeft - 8, Y(tick) + 4, tick);
    }
    for (const double tick : RoundTicks(x_.low, x_.high, 8)) {
      out += fmt::format("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{:.6g}</text>\n",
                         X(tick), plot_.height - kBottom + 18, tick);
    }
    out +=
        fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n",
                    (kLeft + plot_.width - kRight) / 2, plot_.height - 12, Escape(plot_.x_label));
    const int middle = (kTop + plot_.height - kBottom) / 2;
    out += fmt::format(
        "<text x=\"16\" y=\"{}\" text-anchor=\"middle\" transform=\"rotate(-90 16 "
        "{})\">{}</text>\n",
        middle, middle, Escape(plot_.y_label));
    return out;
  }

  std::string Path(const PlotLine& line) const {
    std::string data;
    bool drawing = false;
    for (std::size_t i = 0; i < line.x.size(); ++i) {
      if (!CanBeDrawn(plot_, line, i)) {
        drawing = false;
        continue;
      }
      data += fmt::format("{}{:.1f} {:.1f}", drawing ? 'L' : 'M', X(line.x[i]), Y(line.y[i]));
      drawing = true;
    }
    return fmt::format("<path class=\"c{}\" opacity=\"{:.3g}\" d=\"{}\"/>\n",
                       line.colour % kColours, line.opacity, data);
  }

 private:
  double Level(double value) const { return plot_.log_y ? std::log10(value) : value; }

  const Plot& plot_;
  Range x_;
  Range y_;
};

std::string Legend(const Plot& plot) {
  std::string out;
  int y = kTop + 6;
  for (const PlotLine& line : plot.lines) {
    if (line.label.empty()) continue;
    out += fmt::format(
        "<line class=\"c{}\" opacity=\"{:.3g}\" stroke-width=\"3\" x1=\"{}\" x2=\"{}\" y1=\"{}\" "
        "y2=\"{}\"/><text x=\"{}\" y=\"{}\">{}</text>\n",
        line.colour % kColours, line.opacity, plot.width - 170, plot.width - 146, y, y,
        plot.width - 138, y + 4, Escape(line.label));
    y += 18;
  }
  return out;
}

}  // namespace

std::vector<double> RoundTicks(double low, double high, int count) {
  std::vector<double> ticks;
  if (!(high > low) || count < 1) return ticks;
  const double rough = (high - low) / count;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= rough * (1 - 1e-9)) {
      step = factor * power;
      break;
    }
  }
  // Counted, not summed: a sum of steps drifts, and -0 would be printed.
  const auto first = static_cast<std::int64_t>(std::ceil(low / step - 1e-9));
  for (std::int64_t i = first; static_cast<double>(i) * step <= high + step * 1e-9; ++i)
    ticks.push_back(i == 0 ? 0.0 : static_cast<double>(i) * step);
  return ticks;
}

std::vector<double> RoundLogTicks(double low, double high) {
  constexpr int kManyDecades = 3;
  const int first = static_cast<int>(std::floor(std::log10(low)));
  const int last = static_cast<int>(std::ceil(std::log10(high)));
  std::vector<double> ticks;
  for (int power = first; power <= last; ++power) {
    for (const double factor : {1.0, 2.0, 5.0}) {
      const double tick = factor * std::pow(10.0, power);
      if (factor > 1 && last - first > kManyDecades) break;
      if (tick >= low * (1 - 1e-9) && tick <= high * (1 + 1e-9)) ticks.push_back(tick);
    }
  }
  return ticks;
}

std::vector<double> Smooth(const std::vector<double>& values, double weight) {
  std::vector<double> smooth;
  smooth.reserve(values.size());
  double sum = 0;
  double share = 0;
  for (const double value : values) {
    if (std::isfinite(value)) {
      sum = weight * sum + (1 - weight) * value;
      share = weight * share + (1 - weight);
    }
    smooth.push_back(share > 0 ? sum / share : value);
  }
  return smooth;
}

Result<std::string> SvgPlot(const Plot& plot) {
  constexpr int kLeastPixels = 100;
  if (plot.width < kLeastPixels || plot.height < kLeastPixels) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("plot: {}x{} pixels, at least {} each way", plot.width, plot.height,
                             kLeastPixels));
  }
  for (const PlotLine& line : plot.lines) {
    if (line.x.size() != line.y.size()) {
      return Error(ErrorCode::kInvalidArgument,
                   fmt::format("plot: line '{}' has {} x and {} y", line.label, line.x.size(),
                               line.y.size()));
    }
  }
  Range x;
  Range y;
  const bool any = FindRange(plot, &PlotLine::x, x);
  FindRange(plot, &PlotLine::y, y);
  const Frame frame(plot, x, y);
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" role=\"img\" "
      "aria-label=\"{}\">{}\n<text x=\"{}\" y=\"24\" font-size=\"15\">{}</text>\n",
      plot.width, plot.height, Escape(plot.title), kStyle, kLeft, Escape(plot.title));
  if (!any) {
    return svg + fmt::format("<text x=\"{}\" y=\"{}\">no data</text>\n</svg>\n", plot.width / 2,
                             plot.height / 2);
  }
  svg += frame.Axes();
  for (const PlotLine& line : plot.lines) svg += frame.Path(line);
  return svg + Legend(plot) + "</svg>\n";
}

}  // namespace metier
