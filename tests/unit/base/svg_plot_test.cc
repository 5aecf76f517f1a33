#include "base/svg_plot.h"

#include <cmath>

#include "support/fixtures.h"

namespace metier {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

Plot Line(std::vector<double> x, std::vector<double> y) {
  Plot plot;
  plot.title = "loss";
  plot.x_label = "step";
  plot.y_label = "nats & <bits>";
  plot.lines.push_back({.label = "train", .x = std::move(x), .y = std::move(y)});
  return plot;
}

TEST(SvgPlot, DrawsTheLineInsideItsFrame) {
  ASSERT_OK_AND_ASSIGN(const std::string svg, SvgPlot(Line({0, 10}, {1, 3})));
  // Corners of the drawing area: left 64, right 700, top 40, bottom 368.
  EXPECT_THAT(svg, HasSubstr("d=\"M64.0 368.0L700.0 40.0\""));
  EXPECT_THAT(svg, HasSubstr("prefers-color-scheme:dark"));
  EXPECT_THAT(svg, HasSubstr(">step<"));
  EXPECT_THAT(svg, HasSubstr("nats &amp; &lt;bits&gt;"));
}

TEST(SvgPlot, InterruptsTheLineWhereAPointIsNotFinite) {
  ASSERT_OK_AND_ASSIGN(const std::string svg, SvgPlot(Line({0, 1, 2, 3}, {1, 2, std::nan(""), 2})));
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
  const std::size_t path = svg.find(" d=\"M");
  const std::string data = svg.substr(path, svg.find("/>", path) - path);
  EXPECT_EQ(std::count(data.begin(), data.end(), 'M'), 2);
  EXPECT_EQ(std::count(data.begin(), data.end(), 'L'), 1);
}

TEST(SvgPlot, ALogarithmicAxisHasPowersOfTenAtEqualDistances) {
  Plot plot = Line({0, 1, 2, 3}, {100, 0, 1, 10});
  plot.log_y = true;
  ASSERT_OK_AND_ASSIGN(const std::string svg, SvgPlot(plot));
  // 40 at the top for 100, 368 at the bottom for 1; the point at 0 is left out.
  EXPECT_THAT(svg, HasSubstr("d=\"M64.0 40.0M488.0 368.0L700.0 204.0\""));
  EXPECT_THAT(svg, HasSubstr(">50<"));
}

TEST(SvgPlot, SaysWhenThereIsNothing) {
  ASSERT_OK_AND_ASSIGN(const std::string svg, SvgPlot(Line({}, {})));
  EXPECT_THAT(svg, HasSubstr("no data"));
  ASSERT_OK_AND_ASSIGN(const std::string flat, SvgPlot(Line({1, 2}, {5, 5})));
  EXPECT_THAT(flat, Not(HasSubstr("nan")));
}

TEST(SvgPlot, RefusesWhatCannotBeDrawn) {
  EXPECT_ERROR(SvgPlot(Line({1}, {1, 2})), ErrorCode::kInvalidArgument, "1 x and 2 y");
  Plot small = Line({1}, {1});
  small.width = 10;
  EXPECT_ERROR(SvgPlot(small), ErrorCode::kInvalidArgument, "pixels");
}

TEST(Smooth, IsTheWeightedMeanOfThePast) {
  // Weights 1, 0.5, 0.25 of 4, 2, 0 in turn: 4; (2 + 0.5*4) / 1.5; (0 + 0.5*2 + 0.25*4) / 1.75.
  const std::vector<double> smooth = Smooth({4, 2, 0}, 0.5);
  EXPECT_DOUBLE_EQ(smooth[0], 4);
  EXPECT_DOUBLE_EQ(smooth[1], 4 / 1.5);
  EXPECT_DOUBLE_EQ(smooth[2], 2 / 1.75);
}

TEST(RoundLogTicks, AreRound) {
  using ::testing::DoubleEq;
  EXPECT_THAT(RoundLogTicks(0.3, 7), ElementsAre(DoubleEq(0.5), 1, 2, 5));
  EXPECT_THAT(RoundLogTicks(0.5, 0.5), ElementsAre(DoubleEq(0.5)));
  EXPECT_THAT(RoundLogTicks(0.02, 1000), ElementsAre(DoubleEq(0.1), 1, 10, 100, 1000));
}

TEST(RoundTicks, AreRound) {
  EXPECT_THAT(RoundTicks(0.3, 2.9, 6), ElementsAre(0.5, 1, 1.5, 2, 2.5));
  EXPECT_THAT(RoundTicks(-30, 30, 3), ElementsAre(-20, 0, 20));
  EXPECT_THAT(RoundTicks(1, 1, 3), ElementsAre());
}

}  // namespace
}  // namespace metier
