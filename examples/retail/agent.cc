#include "retail/agent.h"

#include <fmt/format.h>

#include <utility>

#include "base/check.h"

namespace metier::retail {
namespace {

constexpr int kMostCalls = 8;  // in one turn: more means that a request runs in circles

bool Failed(const Json& result) { return result.is_object() && result.contains("error"); }

}  // namespace

AgentTurn Agent::Respond(const Utterance& said) {
  Hear(said);
  AgentTurn turn;
  const std::string understood = Understood(said);
  while (true) {
    Move move = Next();
    if (move.rule) turn.rules.push_back(*move.rule);
    if (move.tool.empty()) {
      turn.text = book_.Pick(move.section, Split::kTrain, Words(), rng_).Text();
      if (turn.calls.empty() && !understood.empty()) turn.text = understood + " " + turn.text;
      turn.ask = move.ask;
      turn.settled = move.settles;
      refused_ = move.refuses;
      return turn;
    }
    METIER_CHECK(turn.calls.size() < kMostCalls, "the agent calls tools without end");
    if (turn.calls.empty()) turn.opening = understood;
    Json result = tools_.Call(move.tool, move.arguments);
    Learn(move.tool, result);
    turn.calls.push_back({std::move(move.tool), std::move(move.arguments), std::move(result)});
  }
}

std::string Agent::Understood(const Utterance& said) {
  const bool takes_steps = request_ <= Request::kLoyalty;
  if (said.act != Act::kRequest || !takes_steps) return "";
  const std::string section = fmt::format("understood/{}", Name(request_));
  return book_.Pick(section, Split::kTrain, Words(), rng_).Text();
}

void Agent::Hear(const Utterance& said) {
  mood_ = said.act == Act::kNo       ? Mood::kSaidNo
          : said.act == Act::kInsist ? Mood::kInsisted
          : said.act == Act::kDone   ? Mood::kLeaving
                                     : Mood::kOpen;
  if (said.act == Act::kRequest) {
    // A new request starts afresh and looks everything up again (14.1); who is writing stays known.
    const Facts before = std::exchange(facts_, Facts());
    facts_.email = before.email;
    facts_.postcode = before.postcode;
    if (said.facts.same_order) facts_.order_id = last_order_id_;
    request_ = said.request;
    confirmed_ = false;
    for (Json* seen : {&order_, &listed_, &parcel_, &product_, &found_, &outcome_}) *seen = nullptr;
  }
  if (said.act == Act::kYes) confirmed_ = true;
  // A number that was corrected must be looked up again.
  if (!said.facts.order_id.empty() && said.facts.order_id != facts_.order_id) order_ = nullptr;
  if (!said.facts.sku.empty() && said.facts.sku != facts_.sku) product_ = nullptr;
  Merge(said.facts, facts_);
}

void Agent::Learn(const std::string& tool, const Json& result) {
  if (tool == "find_customer" || tool == "find_customer_by_order") {
    if (Failed(result)) {
      ++failed_attempts_;
      facts_.email.clear();
      facts_.postcode.clear();
    } else {
      customer_ = result;
    }
  } else if (tool == "list_orders") {
    listed_ = result;
    if (Failed(result)) return;
    for (const Json& order : result["orders"]) {
      if (facts_.order_id.empty() &&
          TextOf(order, "items").find(facts_.item) != std::string::npos) {
        facts_.order_id = TextOf(order, "order_id");
      }
    }
  } else if (tool == "get_order") {
    order_ = result;
    last_order_id_ = facts_.order_id;
  } else if (tool == "track_shipment") {
    parcel_ = result;
  } else if (tool == "get_product") {
    product_ = result;
  } else if (tool == "search_products") {
    found_ = result;
  } else {
    outcome_ = result;
  }
}

Agent::Move Agent::Next() {
  switch (mood_) {
    case Mood::kLeaving:
      return AskFor(Ask::kNothing, refused_ ? "agent/goodbye_sorry" : "agent/goodbye");
    case Mood::kSaidNo: return Tell(Rule::kCustomerSaidNo, "agent/left_alone");
    case Mood::kInsisted: return Refuse(Rule::kNoExceptions, "agent/hold_firm");
    case Mood::kOpen: break;
  }
  return Answer();
}

Agent::Move Agent::Answer() {
  switch (request_) {
    case Request::kWhereIs: return WhereIs();
    case Request::kCancel: return Cancel();
    case Request::kChangeAddress: return ChangeAddress();
    case Request::kReturn: return Return();
    case Request::kExchange: return Exchange();
    case Request::kDamaged: return Damaged();
    case Request::kMissing: return Missing();
    case Request::kFaulty: return Faulty();
    case Request::kPriceDrop: return PriceDrop();
    case Request::kLoyalty: return Loyalty();
    case Request::kProductInfo: return ProductInfo();
    case Request::kSearch: return Search();
    case Request::kPolicyQuestion: return Tell(Rule::kPublic, "answer/" + facts_.topic);
    case Request::kOutOfScope: return Refuse(Rule::kScope, "refuse/out_of_scope");
    case Request::kHuman: return HandOver("customer_request", Rule::kPersonOnRequest);
    case Request::kSafety: return HandOver("safety", Rule::kPersonForSafety);
    case Request::kLegal: return HandOver("legal", Rule::kPersonForLegal);
    case Request::kCompensation: return Refuse(Rule::kNoOtherVouchers, "refuse/compensation");
    case Request::kAccountChange: return Refuse(Rule::kAccountUnchanged, "refuse/account");
    case Request::kOthersData: return Refuse(Rule::kPrivacy, "refuse/others_data");
    case Request::kRuleBreak: return Refuse(Rule::kPolicyHolds, "refuse/rule_break");
  }
  return {};
}

std::optional<Agent::Move> Agent::NeedCustomer() {
  if (!customer_.is_null()) return std::nullopt;
  if (failed_attempts_ >= 2) return HandOver("identity", Rule::kTwoAttempts);
  if (facts_.no_email) {
    if (facts_.order_id.empty() || facts_.postcode.empty()) {
      return AskFor(Ask::kOrderAndPostcode, "ask/order_and_postcode");
    }
    return Call("find_customer_by_order",
                {{"order_id", facts_.order_id}, {"postcode", facts_.postcode}});
  }
  if (!facts_.email.empty() && !facts_.postcode.empty()) {
    return Call("find_customer", {{"email", facts_.email}, {"postcode", facts_.postcode}});
  }
  if (failed_attempts_ == 1) return AskFor(Ask::kIdentityAgain, "ask/identity_again");
  if (!facts_.email.empty()) return AskFor(Ask::kPostcode, "ask/postcode");
  if (!facts_.postcode.empty()) return AskFor(Ask::kEmail, "ask/email");
  return AskFor(Ask::kIdentity, "ask/identity");
}

std::optional<Agent::Move> Agent::NeedOrder() {
  if (std::optional<Move> need = NeedCustomer()) return need;
  if (facts_.order_id.empty()) {
    if (!facts_.no_order_id) return AskFor(Ask::kOrderId, "ask/order_id");
    if (facts_.item.empty()) return AskFor(Ask::kItem, "ask/which_item");
    if (listed_.is_null()) return Call("list_orders", {{"customer_id", customer_["customer_id"]}});
    return AskFor(Ask::kOrderIdAgain, "ask/order_id_again");
  }
  if (order_.is_null()) return Call("get_order", {{"order_id", facts_.order_id}});
  if (facts_.others_order) return Refuse(Rule::kOwnOrdersOnly, "refuse/others_data");
  if (Failed(order_)) return AskFor(Ask::kOrderIdAgain, "ask/order_id_again");
  return std::nullopt;
}

std::optional<Agent::Move> Agent::NeedItem() {
  if (std::optional<Move> need = NeedOrder()) return need;
  if (Item() == nullptr) return AskFor(Ask::kItem, "ask/item");
  return std::nullopt;
}

std::optional<Agent::Move> Agent::NeedDelivered() {
  if (std::optional<Move> need = NeedItem()) return need;
  const std::string state = TextOf(*Item(), "return");
  if (state == Name(ReturnState::kDone)) return Refuse(Rule::kOrderClosed, "refuse/closed");
  if (state == Name(ReturnState::kNotDelivered)) {
    return Refuse(Rule::kNotDelivered, "refuse/not_delivered");
  }
  return std::nullopt;
}

const Json* Agent::Item() const {
  if (!order_.is_object() || !order_.contains("items")) return nullptr;
  const Json& items = order_["items"];
  if (items.size() == 1) return &items[0];
  for (const Json& item : items) {
    if (TextOf(item, "item") == facts_.item) return &item;
  }
  return nullptr;
}

Agent::Move Agent::Call(std::string tool, Json arguments) const {
  Move move;
  move.tool = std::move(tool);
  move.arguments = std::move(arguments);
  return move;
}

Agent::Move Agent::AskFor(Ask ask, std::string section) const {
  Move move;
  move.section = std::move(section);
  move.ask = ask;
  return move;
}

Agent::Move Agent::Refuse(Rule rule, std::string section) const {
  Move move = Tell(rule, std::move(section));
  move.refuses = true;
  return move;
}

Agent::Move Agent::Tell(Rule rule, std::string section) const {
  Move move = AskFor(Ask::kAnythingElse, std::move(section));
  move.rule = rule;
  move.settles = true;
  return move;
}

// 14.2: say exactly what will happen, wait for a yes, act, and say what came of it.
Agent::Move Agent::Act(Rule rule, const std::string& name, std::string tool, Json arguments) const {
  if (!confirmed_) return AskFor(Ask::kConfirm, "confirm/" + name);
  if (outcome_.is_null()) return Call(std::move(tool), std::move(arguments));
  if (Failed(outcome_)) return Tell(rule, "tell/failed");
  return Tell(rule, "done/" + name);
}

Agent::Move Agent::HandOver(const std::string& topic, Rule rule) {
  if (outcome_.is_null()) return Call("escalate_to_human", {{"topic", topic}});
  Move move = Tell(rule, "done/" + topic);
  move.ask = Ask::kNothing;
  return move;
}

std::string Agent::TextOf(const Json& object, const char* name) const {
  if (!object.is_object()) return {};
  const auto it = object.find(name);
  if (it == object.end()) return {};
  return it->is_string() ? it->get<std::string>() : DumpCompact(*it);
}

}  // namespace metier::retail
