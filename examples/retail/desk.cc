#include "retail/desk.h"

#include <cerrno>
#include <cstring>
#include <optional>
#include <string>

#include "base/json.h"
#include "fmt/format.h"
#include "retail/toolbox.h"

namespace metier::retail {
namespace {

constexpr std::size_t kLongestLine = 1 << 16;

// The next line without its end; nothing at the end of the input. Longer lines are cut.
std::optional<std::string> NextLine(std::FILE* in) {
  std::string line;
  int c = std::fgetc(in);
  if (c == EOF) return std::nullopt;
  for (; c != EOF && c != '\n'; c = std::fgetc(in)) {
    if (line.size() < kLongestLine) line += static_cast<char>(c);
  }
  return line;
}

Json Answer(ToolBox& tools, const std::string& line) {
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

}  // namespace

std::string SomebodyToPlay(const World& world) {
  for (const Order& order : world.orders) {
    const Customer& customer = world.customers[order.customer];
    if (customer.split != Split::kTest) continue;
    return fmt::format("{}, {}, postcode {}, order {} ({})", customer.FullName(), customer.email,
                       customer.postcode, order.id, Name(order.status));
  }
  return "nobody";
}

Status RunDesk(const World& world, const ToolSet& tools, std::FILE* in, std::FILE* out) {
  std::optional<ToolBox> box;
  box.emplace(world, tools);
  fmt::print(stderr, "the desk is open; a customer to play: {}\n", SomebodyToPlay(world));
  while (const std::optional<std::string> line = NextLine(in)) {
    if (line->empty()) continue;
    if (*line == "new") {
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
