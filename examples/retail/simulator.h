// retail/simulator.h - plays customers against the oracle agent and writes the dialogues down.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "retail/agent.h"
#include "retail/goals.h"
#include "retail/schema.h"
#include "retail/world.h"

namespace metier::retail {

enum class PolicyText { kNone, kDigest };   // in the system message
enum class ToolList { kInline, kOmitted };  // the dialogue's "tools"

struct SimulationOptions {
  Split split = Split::kTrain;
  std::uint64_t seed = 1;
  PolicyText policy = PolicyText::kNone;
  ToolList tools = ToolList::kInline;
};

// One dialogue, with what is known about it.
struct Dialogue {
  Json messages;  // the OpenAI form: system, user, assistant (content or tool_calls), tool, ...
  std::vector<std::string> goals;
  std::vector<std::string> outcomes;  // one per goal told: done, informed, refused, withdrawn, ...
  std::vector<std::string> phrases;   // the customer's templates
  std::vector<Rule> rules;
  std::vector<Effect> effects;
  Part part;
  std::string temper;
  int calls = 0;
};

// kInvalidArgument: the shop has no order or no product of this split.
Status CheckPlayable(const World& world, Split split);

class Simulator {
 public:
  // Borrows world and tools.
  Simulator(const World& world, const ToolSet& tools, SimulationOptions options);

  // Dialogue number `index`: the same for the same world, options and index, in any order.
  Dialogue Play(std::uint64_t index) const;
  // With this request as the customer's first.
  Dialogue Play(Request request, std::uint64_t index) const;

  // {"messages": ..., "tools": ..., "meta": ...} in one line, as 'simulate' writes it. meta.turns
  // has one entry per assistant message: "call" or "say".
  Json ToJson(const Dialogue& dialogue, std::uint64_t index) const;

  // What every dialogue begins with.
  std::string SystemMessage() const;

 private:
  Dialogue PlayPart(Part part, Rng& rng) const;

  const World& world_;
  const ToolSet& tools_;
  SimulationOptions options_;
  GoalMaker goals_;
};

}  // namespace metier::retail
