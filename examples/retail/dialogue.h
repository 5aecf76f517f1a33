// retail/dialogue.h - what customer and agent say to each other, as meaning; the words come from
// the phrase banks.
//
// The agent sees of an utterance only its act and the facts that its words contain, never the
// customer's goal: whatever it does is therefore determined by the conversation so far.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace metier::retail {

// What a customer may want. Name() is the name in meta, and in the sections of the phrase banks.
enum class Request {
  kWhereIs,
  kCancel,
  kChangeAddress,
  kReturn,
  kExchange,
  kDamaged,
  kMissing,
  kFaulty,
  kPriceDrop,
  kLoyalty,
  kProductInfo,
  kSearch,
  kPolicyQuestion,
  kOutOfScope,
  kHuman,
  kSafety,
  kLegal,
  kCompensation,
  kAccountChange,
  kOthersData,
  kRuleBreak,
};
constexpr int kRequests = 21;
std::string_view Name(Request request);

enum class Act {
  kRequest,  // states what is wanted
  kInform,   // answers a question
  kYes,      // to a confirmation
  kNo,
  kInsist,  // does not accept a refusal
  kDone,    // thanks and leaves
};

enum class Wish { kUnsaid, kMoney, kSameAgain };

// What an utterance tells; an empty string means that it was not said.
struct Facts {
  std::string email;
  std::string postcode;
  std::string order_id;
  std::string item;    // the product's full name, even where the words are "the kettle"
  std::string reason;  // a reason of cancel_order or start_return
  std::string street;  // the new address of change_address
  std::string city;
  std::string new_postcode;
  std::string option;  // of an exchange: "green, M"
  std::string sku;
  std::string kind;
  std::string colour;
  std::string topic;  // of a question about a product or the policy
  int max_price = 0;
  Wish wish = Wish::kUnsaid;
  bool no_email = false;     // "I no longer have that address"
  bool no_order_id = false;  // "I do not know the number"
  bool others_order = false;
  bool same_order = false;  // "for the same order"
};

// Overwrites what `said` contains.
void Merge(const Facts& said, Facts& facts);

struct Utterance {
  Act act = Act::kInform;
  Request request = Request::kWhereIs;  // of Act::kRequest
  Facts facts;
  std::string text;
  std::vector<std::string> phrases;  // the templates it was made of
};

// What the agent's words ask for.
enum class Ask {
  kNothing,  // the conversation is over
  kIdentity,
  kEmail,
  kPostcode,
  kIdentityAgain,
  kOrderAndPostcode,  // in place of an unknown e-mail address
  kOrderId,
  kOrderIdAgain,
  kSkuAgain,
  kItem,
  kReason,
  kWish,
  kOption,
  kAddress,
  kConfirm,
  kAnythingElse,
};

}  // namespace metier::retail
