// worlds/world.h - a company to serve customers of: its records, its tools, its policy.
//
//   METIER_ASSIGN(const World world, World::Load(Domain::kRetail, "shop"));
//   Episode episode(world);                                     // worlds/episode.h
//   episode.Call("get_order_details", {{"order_id", "#W2611340"}});
//
// The folder holds tools.json (what models are told of the tools), policy_wiki.md, rules.json (may
// be absent) and data/TABLE.json. What the tools do is ours, written from their descriptions and
// held to recorded conversations; docs/worlds.md says how closely.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "worlds/records.h"
#include "worlds/tool.h"

namespace metier::worlds {

enum class Domain {
  kRetail,   // orders, products, users
  kAirline,  // flights, reservations, users
};

// "retail", "airline". kNotFound: another name, with the known ones.
Result<Domain> DomainByName(std::string_view name);

// Copies are cheap and share everything.
// Threads: nothing changes after Load; any number may use it at once.
class World {
 public:
  // kNotFound: a file is absent.  kDataCorrupt: a file is not JSON.  kInvalidArgument: a record
  // that is not of the domain's shape, tools that are not declared as functions, or with other
  // arguments than ours.  kUnsupported: a tool that we do not have, by name.
  static Result<World> Load(Domain domain, const std::string& folder);

  Domain domain() const { return state_->domain; }
  // The list of {"type": "function", "function": {...}} that a chat template takes.
  const Json& tools() const { return state_->tools; }
  const std::string& policy() const { return state_->policy; }
  const std::vector<std::string>& rules() const { return state_->rules; }
  const std::shared_ptr<const Database>& database() const { return state_->database; }

  // A tool that tools() offers, ready to be called.
  struct Callable {
    const Tool* tool;
    Json shape;  // of the arguments
  };
  // nullptr: tools() has no such tool.
  const Callable* FindTool(std::string_view name) const;
  std::vector<std::string> ToolNames() const;

 private:
  struct State {
    Domain domain;
    Json tools;
    std::string policy;
    std::vector<std::string> rules;
    std::shared_ptr<const Database> database;
    std::vector<Callable> callables;  // in the order of tools
  };

  explicit World(std::shared_ptr<const State> state) : state_(std::move(state)) {}

  std::shared_ptr<const State> state_;
};

}  // namespace metier::worlds
