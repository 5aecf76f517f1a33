// retail/agent.h - the oracle: an agent that follows policy.md and says in words what it does.
//
// For each utterance of the customer it makes as many tool calls as it needs, one at a time, and
// then speaks once. Which move comes next is a function of the facts said and the results seen.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/rng.h"
#include "retail/dialogue.h"
#include "retail/phrasebook.h"
#include "retail/policy.h"
#include "retail/toolbox.h"

namespace metier::retail {

struct CallRecord {
  std::string tool;
  Json arguments;
  Json result;
};

// One turn of the agent.
struct AgentTurn {
  std::string opening;            // said with the first call, or ""
  std::vector<CallRecord> calls;  // before the words
  std::string text;
  Ask ask = Ask::kNothing;
  std::vector<Rule> rules;  // the sections applied in this turn
  bool settled = false;     // the request was answered: done, refused, withdrawn or handed over
};

class Agent {
 public:
  // Borrows all three.
  Agent(ToolBox& tools, const PhraseBook& book, Rng& rng) : tools_(tools), book_(book), rng_(rng) {}

  AgentTurn Respond(const Utterance& said);

 private:
  // The next thing to do: a call when `tool` is set, words otherwise.
  struct Move {
    std::string tool;
    Json arguments;
    std::string section;  // of the phrase bank
    Ask ask = Ask::kNothing;
    std::optional<Rule> rule;
    bool settles = false;
    bool refuses = false;
  };

  // What the request was understood to be, said once (policy.md 14.4); "" where the answer itself
  // shows it.
  std::string Understood(const Utterance& said);
  void Hear(const Utterance& said);
  void Learn(const std::string& tool, const Json& result);
  Move Next();
  Move Answer();  // dispatches on the request

  // What a request needs first; nothing when it is there.
  std::optional<Move> NeedCustomer();
  std::optional<Move> NeedOrder();
  std::optional<Move> NeedItem();
  std::optional<Move> NeedDelivered();

  Move WhereIs();
  Move Parcel();
  Move Cancel();
  Move ChangeAddress();
  Move Return();
  Move Exchange();
  Move Damaged();
  Move Missing();
  Move Faulty();
  Move PriceDrop();
  Move Loyalty();
  Move ProductInfo();
  Move Search();
  Move Voucher(int amount, const std::string& reason, const std::string& confirm, Rule rule);
  Move HandOver(const std::string& topic, Rule rule);

  Move Call(std::string tool, Json arguments) const;
  Move AskFor(Ask ask, std::string section) const;
  Move Refuse(Rule rule, std::string section) const;
  Move Tell(Rule rule, std::string section) const;
  // Confirmation, then the call, then its outcome.
  Move Act(Rule rule, const std::string& name, std::string tool, Json arguments) const;

  const Json* Item() const;  // of the order that was looked up
  Slots Words() const;
  std::string TextOf(const Json& object, const char* name) const;

  ToolBox& tools_;
  const PhraseBook& book_;
  Rng& rng_;

  // About the customer.
  Json customer_;
  int failed_attempts_ = 0;
  std::string last_order_id_;
  bool refused_ = false;  // by the words before
  // About the present request.
  enum class Mood { kOpen, kSaidNo, kInsisted, kLeaving };
  Mood mood_ = Mood::kOpen;
  Request request_ = Request::kWhereIs;
  Facts facts_;
  bool confirmed_ = false;
  Json order_;
  Json listed_;
  Json parcel_;
  Json product_;
  Json found_;
  Json outcome_;  // of the call that changes something
};

}  // namespace metier::retail
