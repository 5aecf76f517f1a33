#include "worlds/world.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "base/file.h"
#include "worlds/domains.h"
#include "worlds/shape.h"

namespace metier::worlds {
namespace {

// In the order of enum Domain.
const std::array<const DomainSpec*, 2> kDomains = {&kRetailDomain, &kAirlineDomain};

constexpr std::uint64_t kMaxPolicyBytes = 1 << 20;

// Texts of our own rows.
Json ParseOwn(std::string_view text) {
  Result<Json> parsed = ParseJson(text);
  METIER_CHECK(parsed.ok(), "a shape of ours is no JSON");
  return std::move(*parsed);
}

Result<std::shared_ptr<const Database>> ReadDatabase(const DomainSpec& domain,
                                                     const std::string& folder) {
  auto database = std::make_shared<Database>();
  for (const TableSpec& table : domain.tables) {
    const std::string path = folder + "/data/" + std::string(table.name) + ".json";
    METIER_ASSIGN(Json records, ReadJsonFile(path));
    Result<Table> read =
        Table::Create(std::string(table.name), std::move(records), ParseOwn(table.shape));
    if (!read.ok()) return std::move(read).error().With("read '" + path + "'");
    database->push_back(std::move(*read));
  }
  return std::shared_ptr<const Database>(std::move(database));
}

// Models are told of the arguments by tools.json, and what they send is held to our shape: the two
// have to name the same ones.
Status CheckSameArguments(const Json& parameters, const Json& shape) {
  const auto properties = parameters.find("properties");
  std::vector<std::string> declared;
  if (properties != parameters.end() && properties->is_object())
    for (const auto& [name, schema] : properties->items()) declared.push_back(name);
  std::vector<std::string> ours;
  for (const auto& [name, field] : shape.items()) ours.push_back(name);
  std::sort(declared.begin(), declared.end());
  std::sort(ours.begin(), ours.end());
  if (declared == ours) return Ok();
  std::string expected;
  for (const std::string& name : ours) expected += (expected.empty() ? "" : ", ") + name;
  return Error(ErrorCode::kInvalidArgument,
               "declares other arguments than ours, which are: " + expected);
}

Result<World::Callable> ReadTool(const DomainSpec& domain, const Json& declaration) {
  const Json shape = ParseOwn(R"({"function": {"name": "", "parameters": {}}})");
  METIER_TRY(CheckShape(shape, declaration, UnknownNames::kKept, "field"));
  const Json& function = declaration.at("function");
  const std::string& name = TextOf(function, "name");
  for (const Tool& tool : domain.tools) {
    if (tool.name != name) continue;
    World::Callable callable{&tool, ParseOwn(tool.arguments)};
    Status same = CheckSameArguments(function.at("parameters"), callable.shape);
    if (!same.ok()) return std::move(same).error().With("tool '" + name + "'");
    return callable;
  }
  return Error(ErrorCode::kUnsupported,
               "tool '" + name + "': the " + std::string(domain.name) + " world has no such tool");
}

Result<std::vector<std::string>> ReadRules(const std::string& path) {
  Result<Json> rules = ReadJsonFile(path);
  if (!rules.ok() && rules.error().code() == ErrorCode::kNotFound)
    return std::vector<std::string>();
  if (!rules.ok()) return std::move(rules).error();
  METIER_TRY(CheckShape(Json::array({""}), *rules, UnknownNames::kKept, "'" + path + "': rule"));
  return rules->get<std::vector<std::string>>();
}

}  // namespace

Result<Domain> DomainByName(std::string_view name) {
  std::string known;
  for (std::size_t i = 0; i < kDomains.size(); ++i) {
    if (kDomains[i]->name == name) return static_cast<Domain>(i);
    known += (i == 0 ? "" : ", ") + std::string(kDomains[i]->name);
  }
  return Error(ErrorCode::kNotFound,
               "world '" + std::string(name) + "' is unknown; there are " + known);
}

Result<World> World::Load(Domain domain, const std::string& folder) {
  const DomainSpec& spec = *kDomains[static_cast<std::size_t>(domain)];
  auto state = std::make_shared<State>();
  state->domain = domain;
  METIER_ASSIGN(state->tools, ReadJsonFile(folder + "/tools.json"));
  METIER_ASSIGN(state->policy, ReadFile(folder + "/policy_wiki.md", kMaxPolicyBytes));
  METIER_ASSIGN(state->rules, ReadRules(folder + "/rules.json"));
  METIER_ASSIGN(state->database, ReadDatabase(spec, folder));
  if (!state->tools.is_array()) {
    return Error(ErrorCode::kInvalidArgument,
                 "'" + folder + "/tools.json': expected a list of functions");
  }
  for (const Json& declaration : state->tools) {
    Result<Callable> callable = ReadTool(spec, declaration);
    if (!callable.ok()) return std::move(callable).error().With("'" + folder + "/tools.json'");
    state->callables.push_back(std::move(*callable));
  }
  return World(std::move(state));
}

const World::Callable* World::FindTool(std::string_view name) const {
  for (const Callable& callable : state_->callables)
    if (callable.tool->name == name) return &callable;
  return nullptr;
}

std::vector<std::string> World::ToolNames() const {
  std::vector<std::string> names;
  for (const Callable& callable : state_->callables) names.emplace_back(callable.tool->name);
  return names;
}

}  // namespace metier::worlds
