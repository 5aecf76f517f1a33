#include "retail/simulator.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "fmt/format.h"
#include "retail/catalogue.h"
#include "retail/customer.h"

namespace metier::retail {
namespace {

constexpr int kMostTurns =
    40;  // of the customer: more means that the two do not understand another

constexpr const char* kDigest =
    " Cancel or change the address only while an order is placed or paid. Returns: clothing and "
    "shoes 60 days, electronics 14, other goods 30, care and food never. Damage or missing items: "
    "30 days. Price drops: 14 days. Lost parcels, danger and lawyers go to a person.";

Json UserMessage(const Utterance& said) { return Json{{"role", "user"}, {"content", said.text}}; }

Json CallMessage(const CallRecord& call, const std::string& said, const std::string& id) {
  const Json function = {{"name", call.tool}, {"arguments", DumpCompact(call.arguments)}};
  return Json{{"role", "assistant"},
              {"content", said.empty() ? Json(nullptr) : Json(said)},
              {"tool_calls",
               Json::array({Json{{"id", id}, {"type", "function"}, {"function", function}}})}};
}

bool IsAction(const std::string& tool) {
  return tool == "cancel_order" || tool == "change_address" || tool == "start_return" ||
         tool == "exchange_item" || tool == "refund_item" || tool == "create_voucher";
}

// How a settled request ended, from what the agent did and which section it gave.
std::string OutcomeOf(const AgentTurn& turn) {
  for (const CallRecord& call : turn.calls) {
    if (call.result.contains("error")) continue;
    if (IsAction(call.tool)) return "done";
    if (call.tool == "escalate_to_human") return "escalated";
  }
  if (turn.rules.empty()) return "informed";
  switch (turn.rules.back()) {
    case Rule::kCustomerSaidNo: return "withdrawn";
    case Rule::kPublic:
    case Rule::kLookUp:
    case Rule::kParcelPatience: return "informed";
    default: return "refused";
  }
}

}  // namespace

Status CheckPlayable(const World& world, Split split) {
  const bool order = std::any_of(world.orders.begin(), world.orders.end(), [&](const Order& o) {
    return world.customers[o.customer].split == split;
  });
  const bool goods =
      std::any_of(world.variants.begin(), world.variants.end(),
                  [&](const Variant& v) { return world.products[v.product].split == split; });
  // Somebody must know each kind of product: an older program's shop may have others.
  for (const Product& product : world.products) {
    if (FindKind(product.kind) == nullptr) {
      return Error(ErrorCode::kDataCorrupt,
                   fmt::format("product {}: kind '{}' is not one that this program knows; make the "
                               "shop anew with 'retail_shop generate'",
                               product.id, product.kind));
    }
  }
  if (order && goods) return Ok();
  return Error(ErrorCode::kInvalidArgument,
               fmt::format("split '{}': the shop has no order or no product of it", Name(split)));
}

Simulator::Simulator(const World& world, const ToolSet& tools, SimulationOptions options)
    : world_(world), tools_(tools), options_(options), goals_(world, options.split) {}

std::string Simulator::SystemMessage() const {
  std::string text =
      fmt::format("You are the support agent of Ferngate, an online shop. Today is {}.",
                  FormatDay(world_.today));
  if (options_.policy == PolicyText::kDigest) text += kDigest;
  return text;
}

Dialogue Simulator::Play(std::uint64_t index) const {
  Rng rng(options_.seed, /*stream=*/index * 8 + static_cast<std::uint64_t>(options_.split) + 1);
  return PlayPart(goals_.Draw(goals_.Deal(options_.seed, index), rng), rng);
}

Dialogue Simulator::Play(Request request, std::uint64_t index) const {
  Rng rng(options_.seed, /*stream=*/index * 8 + static_cast<std::uint64_t>(options_.split) + 1);
  return PlayPart(goals_.Draw(request, rng), rng);
}

Dialogue Simulator::PlayPart(Part part, Rng& rng) const {
  Dialogue out;
  out.part = part;
  out.temper = std::string(Name(part.persona.temper));
  ToolBox tools(world_, tools_, options_.split);
  const PhraseBook& book = PhraseBook::Ours();
  Agent agent(tools, book, rng);
  CustomerPlayer customer(world_, book, options_.split, part.persona, part.goals, rng);
  out.messages = Json::array({Json{{"role", "system"}, {"content", SystemMessage()}}});
  Utterance said = customer.Open();
  for (int turns = 0; turns < kMostTurns; ++turns) {
    if (said.act == Act::kRequest) {
      // A request that another one replaced was withdrawn.
      if (out.goals.size() > out.outcomes.size()) out.outcomes.emplace_back("withdrawn");
      out.goals.emplace_back(Name(said.request));
    }
    out.messages.push_back(UserMessage(said));
    out.phrases.insert(out.phrases.end(), said.phrases.begin(), said.phrases.end());
    const AgentTurn turn = agent.Respond(said);
    for (const CallRecord& call : turn.calls) {
      const std::string id = fmt::format("call_{}", ++out.calls);
      const bool first = &call == turn.calls.data();
      out.messages.push_back(CallMessage(call, first ? turn.opening : "", id));
      out.messages.push_back(
          Json{{"role", "tool"}, {"tool_call_id", id}, {"content", DumpCompact(call.result)}});
    }
    out.messages.push_back(Json{{"role", "assistant"}, {"content", turn.text}});
    out.rules.insert(out.rules.end(), turn.rules.begin(), turn.rules.end());
    const std::string outcome = turn.settled ? OutcomeOf(turn) : "";
    if (turn.settled && out.outcomes.size() < out.goals.size()) out.outcomes.push_back(outcome);
    if (turn.ask == Ask::kNothing) {
      out.effects = tools.effects();
      return out;
    }
    said = customer.Reply(turn.ask, outcome == "refused");
  }
  METIER_CHECK(false, "a simulated conversation does not end");
  return out;
}

Json Simulator::ToJson(const Dialogue& dialogue, std::uint64_t index) const {
  Json turns = Json::array();
  for (const Json& message : dialogue.messages) {
    if (message["role"] == "assistant")
      turns.push_back(message.contains("tool_calls") ? "call" : "say");
  }
  Json rules = Json::array();
  for (const Rule rule : dialogue.rules) {
    if (std::find(rules.begin(), rules.end(), Section(rule)) == rules.end()) {
      rules.push_back(Section(rule));
    }
  }
  Json out = {{"messages", dialogue.messages}};
  if (options_.tools == ToolList::kInline) out["tools"] = tools_.json();
  out["meta"] = {{"id", fmt::format("{}-{}-{}", Name(options_.split), options_.seed, index)},
                 {"split", Name(options_.split)},
                 {"goal", dialogue.goals.front()},
                 {"goals", dialogue.goals},
                 {"outcomes", dialogue.outcomes},
                 {"mood", dialogue.temper},
                 {"rules", rules},
                 {"calls", dialogue.calls},
                 {"turns", turns}};
  return out;
}

}  // namespace metier::retail
