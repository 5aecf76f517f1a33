#include "retail/desk.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <functional>
#include <optional>
#include <string>

#include "base/json.h"
#include "retail/policy.h"
#include "retail/toolbox.h"

namespace metier::retail {
namespace {

constexpr std::size_t kLongestLine = 1 << 16;

struct Line {
  std::string text;  // without its end, and without what is beyond kLongestLine
  bool whole = true;
};

// Nothing at the end of the input.
std::optional<Line> NextLine(std::FILE* in) {
  Line line;
  int c = std::fgetc(in);
  if (c == EOF) return std::nullopt;
  for (; c != EOF && c != '\n'; c = std::fgetc(in)) {
    line.whole = line.whole && line.text.size() < kLongestLine;
    if (line.whole) line.text += static_cast<char>(c);
  }
  return line;
}

Json Answer(ToolBox& tools, const Line& read) {
  if (!read.whole) {
    return {{"error", fmt::format("the line is longer than {} bytes", kLongestLine)}};
  }
  const std::string& line = read.text;
  const std::size_t begin = line.find('{');
  const std::size_t end = line.rfind('}');
  if (begin == std::string::npos || end == std::string::npos || end < begin) {
    return {{"error", "no call in this line"}};
  }
  const Result<Json> call = ParseJson(line.substr(begin, end - begin + 1));
  if (!call.ok()) return {{"error", call.error().message()}};
  if (!call->contains("name") || !(*call)["name"].is_string() || !call->contains("arguments")) {
    return {{"error", "a call has a name and arguments"}};
  }
  return tools.Call((*call)["name"].get<std::string>(), (*call)["arguments"]);
}

std::string Describe(const World& world, const Order& order) {
  const Customer& customer = world.customers[order.customer];
  std::vector<std::string> items;
  for (const OrderLine& line : order.lines) items.push_back(world.ProductOf(line).name);
  return fmt::format("{}, {}, postcode {}, order {} ({}): {}", customer.FullName(), customer.email,
                     customer.postcode, order.id, Name(order.status), fmt::join(items, ", "));
}

}  // namespace

std::vector<std::string> PeopleToPlay(const World& world) {
  const auto placed = [](const Order& order) { return order.status == OrderStatus::kPlaced; };
  const auto on_its_way = [](const Order& order) {
    return order.parcel && order.parcel->status == ParcelStatus::kInTransit;
  };
  const auto returnable = [&world](const Order& order) {
    return std::any_of(order.lines.begin(), order.lines.end(), [&](const OrderLine& line) {
      return ReturnStateOf(world, order, line) == ReturnState::kOpen;
    });
  };
  std::vector<std::string> people;
  const std::array<std::function<bool(const Order&)>, 3> kinds = {placed, on_its_way, returnable};
  for (const auto& wanted : kinds) {
    const auto order =
        std::find_if(world.orders.begin(), world.orders.end(), [&](const Order& candidate) {
          return world.customers[candidate.customer].split == Split::kTest && wanted(candidate);
        });
    if (order != world.orders.end()) people.push_back(Describe(world, *order));
  }
  return people;
}

Status RunDesk(const World& world, const ToolSet& tools, std::FILE* in, std::FILE* out) {
  std::optional<ToolBox> box;
  box.emplace(world, tools);
  fmt::print(stderr, "the desk is open; customers to play:\n");
  for (const std::string& person : PeopleToPlay(world)) fmt::print(stderr, "  {}\n", person);
  while (const std::optional<Line> line = NextLine(in)) {
    if (line->text.empty()) continue;
    if (line->text == "new") {
      box.emplace(world, tools);
      continue;
    }
    fmt::print(out, "{}\n", DumpCompact(Answer(*box, *line)));
    if (std::fflush(out) != 0) {
      return Error(ErrorCode::kIo, fmt::format("write a result: {}", std::strerror(errno)));
    }
  }
  return Ok();
}

}  // namespace metier::retail
