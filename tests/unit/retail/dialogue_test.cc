// The simulated dialogues, judged from their messages and the shop's data alone: the rules are
// written here a second time, from policy.md, and share no code with the agent or the tools.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <sstream>

#include "retail/generate.h"
#include "retail/schema.h"
#include "retail/simulator.h"
#include "support/fixtures.h"

namespace metier::retail {
namespace {

constexpr std::uint64_t kDialogues = 400;  // per split
const std::vector<Split> kAll = {Split::kTrain, Split::kValid, Split::kTest};

const World& Shop() {
  static const World world = MakeWorld({}).value();
  return world;
}

const std::vector<Dialogue>& Played(Split split) {
  static std::map<Split, std::vector<Dialogue>> cache;
  std::vector<Dialogue>& dialogues = cache[split];
  if (dialogues.empty()) {
    SimulationOptions options;
    options.split = split;
    const Simulator simulator(Shop(), ToolSet::Ours(), options);
    for (std::uint64_t i = 0; i < kDialogues; ++i) dialogues.push_back(simulator.Play(i));
  }
  return dialogues;
}

struct Call {
  std::string tool;
  Json arguments;
  Json result;
  std::size_t at = 0;  // index of the message
};

std::vector<Call> CallsOf(const Dialogue& dialogue) {
  std::vector<Call> out;
  const Json& messages = dialogue.messages;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    if (!messages[i].contains("tool_calls")) continue;
    const Json& function = messages[i]["tool_calls"][0]["function"];
    out.push_back({function["name"].get<std::string>(),
                   ParseJson(function["arguments"].get<std::string>()).value(),
                   ParseJson(messages[i + 1]["content"].get<std::string>()).value(), i});
  }
  return out;
}

std::string Show(const Dialogue& dialogue) { return DumpPretty(dialogue.messages); }

TEST(Dialogues, SameSeedSameWordsOtherSeedOthers) {
  SimulationOptions options;
  const Simulator a(Shop(), ToolSet::Ours(), options);
  const Simulator b(Shop(), ToolSet::Ours(), options);
  options.seed = 2;
  const Simulator c(Shop(), ToolSet::Ours(), options);
  int different = 0;
  for (const std::uint64_t i : {7u, 3u, 50u}) {
    EXPECT_EQ(a.Play(i).messages, b.Play(i).messages);
    different += a.Play(i).messages != c.Play(i).messages ? 1 : 0;
  }
  EXPECT_EQ(different, 3);
}

// Every 108 customers of the test hold each request equally often, in another order each time.
TEST(Goals, AreDealtFromDecks) {
  constexpr std::uint64_t kDeck = 108;
  const GoalMaker goals(Shop(), Split::kTest);
  const auto deck = [&](std::uint64_t seed, std::uint64_t number) {
    std::vector<Request> out;
    for (std::uint64_t i = 0; i < kDeck; ++i) out.push_back(goals.Deal(seed, number * kDeck + i));
    return out;
  };
  std::vector<Request> first = deck(1, 0);
  std::vector<Request> second = deck(1, 1);
  EXPECT_EQ(first, deck(1, 0));
  EXPECT_NE(first, second);
  EXPECT_NE(first, deck(2, 0));
  std::sort(first.begin(), first.end());
  std::sort(second.begin(), second.end());
  EXPECT_EQ(first, second);
  EXPECT_EQ(std::set<Request>(first.begin(), first.end()).size(),
            static_cast<std::size_t>(kRequests));
}

TEST(Dialogues, AreWellFormed) {
  for (const Split split : kAll) {
    for (const Dialogue& dialogue : Played(split)) {
      const Json& messages = dialogue.messages;
      ASSERT_EQ(messages[0]["role"], "system");
      ASSERT_EQ(messages[1]["role"], "user");
      std::set<std::string> ids;
      for (std::size_t i = 1; i < messages.size(); ++i) {
        const std::string role = messages[i]["role"].get<std::string>();
        const std::string before = messages[i - 1]["role"].get<std::string>();
        if (role == "tool") {
          ASSERT_TRUE(messages[i - 1].contains("tool_calls")) << Show(dialogue);
          EXPECT_EQ(messages[i]["tool_call_id"], messages[i - 1]["tool_calls"][0]["id"]);
        } else if (role == "user") {
          EXPECT_TRUE(before == "system" || before == "assistant") << Show(dialogue);
          EXPECT_FALSE(messages[i - 1].contains("tool_calls"));
        } else {
          EXPECT_TRUE(before == "user" || before == "tool") << Show(dialogue);
        }
        if (messages[i].contains("tool_calls")) {
          // Words come with the first call after a request only.
          const bool first = messages[i - 1]["role"] == "user";
          EXPECT_TRUE(messages[i]["content"].is_null() || first) << Show(dialogue);
          EXPECT_TRUE(ids.insert(messages[i]["tool_calls"][0]["id"].get<std::string>()).second);
        } else {
          EXPECT_FALSE(messages[i]["content"].get<std::string>().empty()) << Show(dialogue);
        }
      }
      EXPECT_EQ(messages.back()["role"], "assistant");
      EXPECT_FALSE(messages.back().contains("tool_calls"));
      EXPECT_EQ(dialogue.goals.size(), dialogue.outcomes.size()) << Show(dialogue);
    }
  }
}

TEST(Dialogues, WrittenLineNamesEveryAssistantTurn) {
  const Simulator simulator(Shop(), ToolSet::Ours(), {});
  const Dialogue dialogue = simulator.Play(4);
  const Json line = simulator.ToJson(dialogue, 4);
  EXPECT_EQ(line["tools"], ToolSet::Ours().json());
  EXPECT_EQ(line["meta"]["split"], "train");
  std::vector<std::string> turns;
  for (const Json& message : line["messages"]) {
    if (message["role"] == "assistant") {
      turns.push_back(message.contains("tool_calls") ? "call" : "say");
    }
  }
  EXPECT_EQ(line["meta"]["turns"], Json(turns));
}

TEST(Dialogues, EveryCallFitsItsSchemaAndNoActionFails) {
  std::map<std::string, int> used;
  for (const Split split : kAll) {
    for (const Dialogue& dialogue : Played(split)) {
      for (const Call& call : CallsOf(dialogue)) {
        ++used[call.tool];
        EXPECT_OK(ToolSet::Ours().Check(call.tool, call.arguments));
        const bool may_fail = call.tool == "find_customer" || call.tool == "get_order" ||
                              call.tool == "get_product" || call.tool == "find_customer_by_order";
        EXPECT_TRUE(may_fail || !call.result.contains("error")) << Show(dialogue);
      }
    }
  }
  EXPECT_EQ(used.size(), ToolSet::Ours().Names().size()) << "a tool that no dialogue uses";
}

// policy.md 14.4, for requests that take steps: what was understood is said before anything else.
TEST(Dialogues, TheFirstAnswerSaysWhatWasUnderstood) {
  const std::map<std::string, std::string> understood = {
      {"where_is", "where it is"},           {"cancel", "the cancellation"},
      {"change_address", "the new address"}, {"return", "the return"},
      {"exchange", "the exchange"},          {"damaged", "it is damaged"},
      {"missing", "it is missing"},          {"faulty", "it is faulty"},
      {"price_drop", "the lower price"},     {"loyalty", "the voucher"}};
  std::set<std::string> seen;
  for (const Split split : kAll) {
    for (const Dialogue& dialogue : Played(split)) {
      const auto words = understood.find(dialogue.goals.front());
      const Json& first = dialogue.messages[2]["content"];
      const std::string text = first.is_string() ? first.get<std::string>() : "";
      if (words == understood.end()) {
        for (const auto& each : understood)
          EXPECT_EQ(text.find(" " + each.second + "."), std::string::npos) << Show(dialogue);
        continue;
      }
      seen.insert(words->first);
      EXPECT_NE(text.find(words->second + "."), std::string::npos) << Show(dialogue);
    }
  }
  EXPECT_EQ(seen.size(), understood.size());
}

// A model can only be right about a call whose arguments the conversation contains.
TEST(Dialogues, IdsAndAddressesWereSaidBefore) {
  for (const Split split : kAll) {
    for (const Dialogue& dialogue : Played(split)) {
      for (const Call& call : CallsOf(dialogue)) {
        std::string before;
        for (std::size_t i = 0; i < call.at; ++i) {
          if (dialogue.messages[i]["content"].is_string()) {
            before += dialogue.messages[i]["content"].get<std::string>() + "\n";
          }
        }
        for (const auto& [name, value] : call.arguments.items()) {
          if (name == "reason" || name == "topic" || name == "amount") continue;
          const std::string text =
              value.is_string() ? value.get<std::string>() : DumpCompact(value);
          EXPECT_NE(before.find(text), std::string::npos) << call.tool << "." << name << "\n"
                                                          << Show(dialogue);
        }
      }
    }
  }
}

// ---- the independent rule checker ------------------------------------------------------------

int WindowOf(const std::string& category) {  // policy.md 4.1, 4.2
  if (category == "clothing" || category == "shoes") return 60;
  if (category == "electronics") return 14;
  return category == "care" || category == "food" ? 0 : 30;
}

class Checker {
 public:
  explicit Checker(const Dialogue& dialogue) : dialogue_(dialogue), calls_(CallsOf(dialogue)) {}

  void Check() {
    for (const Call& call : calls_) {
      if (call.tool == "find_customer" && !call.result.contains("error")) {
        const std::string id = call.result["customer_id"].get<std::string>();
        customer_ = &Shop().customers[*Shop().FindCustomer(id)];
        EXPECT_EQ(call.arguments["email"], customer_->email);
        EXPECT_EQ(call.arguments["postcode"], customer_->postcode);
      }
      if (call.tool == "find_customer_by_order" && !call.result.contains("error")) {
        const std::string id = call.result["customer_id"].get<std::string>();
        customer_ = &Shop().customers[*Shop().FindCustomer(id)];
      }
      if (call.arguments.contains("order_id") && call.tool != "find_customer_by_order") {
        OrderCall(call);
      }
      if (call.tool == "create_voucher") VoucherCall(call);
      if (call.tool == "list_orders") {
        EXPECT_EQ(call.arguments["customer_id"], Verified().id);
      }
    }
  }

 private:
  const Customer& Verified() {
    EXPECT_NE(customer_, nullptr) << "1.1: nobody was verified\n" << Show(dialogue_);
    return customer_ != nullptr ? *customer_ : Shop().customers.front();
  }

  // 14.2: the words before the call asked, and the customer answered.
  void Confirmed(const Call& call) {
    const Json& messages = dialogue_.messages;
    std::size_t user = call.at - 1;
    while (messages[user]["role"] != "user") --user;
    EXPECT_EQ(user, call.at - 1) << "14.2: something else came between yes and deed";
    const std::string asked = messages[user - 1]["content"].get<std::string>();
    EXPECT_NE(asked.find('?'), std::string::npos) << asked;
    EXPECT_EQ(messages[user - 1]["role"], "assistant");
  }

  void OrderCall(const Call& call) {
    const auto found = Shop().FindOrder(call.arguments["order_id"].get<std::string>());
    const bool own = found && &Shop().customers[Shop().orders[*found].customer] == &Verified();
    EXPECT_EQ(call.result.contains("error"), !own) << "1.3\n" << Show(dialogue_);
    if (!own) return;
    const Order& order = Shop().orders[*found];
    if (call.tool == "get_order") {
      looked_up_.insert(order.id);
      Consistent(order, call.result);
      return;
    }
    EXPECT_TRUE(looked_up_.count(order.id)) << "14.1: not looked up\n" << Show(dialogue_);
    if (call.tool == "track_shipment") {
      EXPECT_EQ(call.result["tracking"], order.parcel->tracking);
      return;
    }
    Confirmed(call);
    if (call.tool == "cancel_order" || call.tool == "change_address") {
      EXPECT_TRUE(order.status == OrderStatus::kPlaced || order.status == OrderStatus::kPaid)
          << "2.1, 3.1\n"
          << Show(dialogue_);
      EXPECT_FALSE(cancelled_.count(order.id)) << "2.4";
      if (call.tool == "cancel_order") cancelled_.insert(order.id);
      return;
    }
    ItemCall(call, order);
  }

  void ItemCall(const Call& call, const Order& order) {
    const std::string sku = call.arguments["sku"].get<std::string>();
    const auto line = std::find_if(order.lines.begin(), order.lines.end(), [&](const auto& l) {
      return Shop().variants[l.variant].sku == sku;
    });
    ASSERT_NE(line, order.lines.end()) << "the item is not in the order";
    EXPECT_EQ(line->state, LineState::kKept);
    const Product& product = Shop().ProductOf(*line);
    const auto delivered = order.DayOf(OrderStatus::kDelivered);
    const std::string reason =
        call.arguments.contains("reason") ? call.arguments["reason"].get<std::string>() : "";
    if (reason == "price_drop") {  // 10.1
      EXPECT_LT(product.price_cents, line->price_cents);
      EXPECT_LE(Shop().today - delivered.value_or(Shop().today), 14);
      EXPECT_EQ(call.result["refund"], FormatMoney(line->price_cents - product.price_cents));
      return;
    }
    ASSERT_TRUE(delivered) << "4.3\n" << Show(dialogue_);
    const int days = Shop().today - *delivered;
    if (call.tool == "refund_item") {
      EXPECT_LE(days, 30) << "7.4\n" << Show(dialogue_);
      EXPECT_EQ(call.result["refund"], FormatMoney(line->price_cents));
    } else if (call.tool == "start_return") {
      const bool warranty = reason == "faulty" && days <= product.warranty_months * 30;
      EXPECT_TRUE(warranty || days <= WindowOf(product.category)) << "4.1\n" << Show(dialogue_);
      EXPECT_TRUE(warranty || WindowOf(product.category) > 0) << "4.2";
    } else {
      ASSERT_EQ(call.tool, "exchange_item");
      const auto wanted = Shop().FindVariant(call.arguments["new_sku"].get<std::string>());
      ASSERT_TRUE(wanted);
      EXPECT_GT(Shop().variants[*wanted].stock, 0) << "5.2";
      EXPECT_EQ(Shop().variants[*wanted].product, Shop().variants[line->variant].product) << "5.1";
      EXPECT_LE(days, *wanted == line->variant ? 30 : WindowOf(product.category)) << "5.1, 7.1";
    }
  }

  void VoucherCall(const Call& call) {
    const Customer& customer = Verified();
    EXPECT_EQ(call.arguments["customer_id"], customer.id);
    Confirmed(call);
    const bool late = call.arguments["reason"] == "late_delivery";
    const std::map<Tier, int> amounts =
        late ? std::map<Tier, int>{{Tier::kStandard, 5}, {Tier::kSilver, 10}, {Tier::kGold, 15}}
             : std::map<Tier, int>{{Tier::kSilver, 10}, {Tier::kGold, 20}};  // 11.1, 11.2
    ASSERT_TRUE(amounts.count(customer.tier)) << "11.3";
    EXPECT_EQ(call.arguments["amount"], amounts.at(customer.tier));
    if (!late) return;
    const bool due = std::any_of(calls_.begin(), calls_.end(), [](const Call& other) {
      return other.tool == "track_shipment" && other.result["days_late"].get<int>() >= 3;
    });
    EXPECT_TRUE(due) << "8.3\n" << Show(dialogue_);
  }

  void Consistent(const Order& order, const Json& result) {
    if (cancelled_.count(order.id)) {
      EXPECT_EQ(result["status"], "cancelled");
      return;
    }
    EXPECT_EQ(result["status"], std::string(Name(order.status)));
    ASSERT_EQ(result["items"].size(), order.lines.size());
    for (std::size_t i = 0; i < order.lines.size(); ++i) {
      EXPECT_EQ(result["items"][i]["sku"], Shop().variants[order.lines[i].variant].sku);
      EXPECT_EQ(result["items"][i]["item"], Shop().ProductOf(order.lines[i]).name);
    }
  }

  const Dialogue& dialogue_;
  std::vector<Call> calls_;
  const Customer* customer_ = nullptr;
  std::set<std::string> looked_up_;
  std::set<std::string> cancelled_;
};

TEST(Dialogues, NeverBreakThePolicy) {
  for (const Split split : kAll) {
    for (const Dialogue& dialogue : Played(split)) Checker(dialogue).Check();
  }
}

TEST(Dialogues, EveryRequestIsPlayedAndTheRefusableOnesAreAlsoRefused) {
  std::map<std::string, std::set<std::string>> outcomes;
  const Simulator simulator(Shop(), ToolSet::Ours(), {});
  for (int request = 0; request < kRequests; ++request) {
    for (std::uint64_t i = 0; i < 40; ++i) {
      const Dialogue dialogue = simulator.Play(static_cast<Request>(request), i);
      outcomes[dialogue.goals.front()].insert(dialogue.outcomes.front());
    }
  }
  EXPECT_EQ(outcomes.size(), static_cast<std::size_t>(kRequests));
  for (const char* request : {"cancel", "change_address", "return", "exchange", "damaged",
                              "missing", "faulty", "price_drop", "loyalty"}) {
    EXPECT_TRUE(outcomes[request].count("done")) << request;
    EXPECT_TRUE(outcomes[request].count("refused")) << request;
  }
  for (const char* request : {"human", "safety", "legal"}) {
    EXPECT_EQ(outcomes[request], std::set<std::string>{"escalated"}) << request;
  }
  for (const char* request :
       {"out_of_scope", "compensation", "account", "others_data", "rule_break"}) {
    EXPECT_EQ(outcomes[request], std::set<std::string>{"refused"}) << request;
  }
}

// ---- the splits ------------------------------------------------------------------------------

std::string AllText(Split split) {
  std::string out;
  for (const Dialogue& dialogue : Played(split)) {
    for (std::size_t i = 1; i < dialogue.messages.size(); ++i) {
      out += DumpCompact(dialogue.messages[i]) + "\n";
    }
  }
  return out;
}

TEST(Splits, ShareNoPhraseOfACustomer) {
  std::map<std::string, std::set<Split>> owners;
  for (const Split split : kAll) {
    for (const Dialogue& dialogue : Played(split)) {
      for (const std::string& phrase : dialogue.phrases) owners[phrase].insert(split);
    }
  }
  EXPECT_GT(owners.size(), 300u);
  for (const auto& [phrase, splits] : owners) EXPECT_EQ(splits.size(), 1u) << phrase;
}

TEST(Splits, ShareNoSentenceOfACustomer) {
  const auto sentences = [](Split split) {
    std::set<std::string> out;
    for (const Dialogue& dialogue : Played(split)) {
      for (const Json& message : dialogue.messages) {
        if (message["role"] != "user") continue;
        std::istringstream words(message["content"].get<std::string>());
        const auto count = std::distance(std::istream_iterator<std::string>(words), {});
        if (count >= 3) out.insert(message["content"].get<std::string>());
      }
    }
    return out;
  };
  const std::set<std::string> train = sentences(Split::kTrain);
  for (const std::string& sentence : sentences(Split::kTest)) {
    EXPECT_FALSE(train.count(sentence)) << sentence;
  }
}

TEST(Splits, ShareNoCustomerOrderOrProduct) {
  const std::string train = AllText(Split::kTrain);
  int checked = 0;
  for (const Customer& customer : Shop().customers) {
    if (customer.split != Split::kTest) continue;
    EXPECT_EQ(train.find(customer.FullName()), std::string::npos) << customer.FullName();
    EXPECT_EQ(train.find(customer.email), std::string::npos) << customer.email;
    ++checked;
  }
  for (const Order& order : Shop().orders) {
    if (Shop().customers[order.customer].split != Split::kTest) continue;
    EXPECT_EQ(train.find(order.id), std::string::npos) << order.id;
    ++checked;
  }
  for (const Product& product : Shop().products) {
    if (product.split != Split::kTest) continue;
    EXPECT_EQ(train.find(product.name), std::string::npos) << product.name;
    ++checked;
  }
  EXPECT_GT(checked, 400);
}

}  // namespace
}  // namespace metier::retail
