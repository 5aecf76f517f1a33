// retail/customer.h - a simulated customer: a goal, a temper, and what they do not know.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/rng.h"
#include "retail/dialogue.h"
#include "retail/phrasebook.h"
#include "retail/world.h"

namespace metier::retail {

enum class Temper { kNeutral, kPolite, kTerse, kUpset, kChatty, kHurried };
std::string_view Name(Temper temper);

// One thing that the customer wants, with everything they could say about it.
struct Goal {
  Request request = Request::kWhereIs;
  Facts facts;
  std::string kind;        // of the item, as a word: "kettle"
  std::string other_name;  // of the person whom Request::kOthersData asks about
  bool one_item = false;
};

// How the customer behaves; drawn once for a dialogue.
struct Persona {
  std::size_t customer = 0;
  Temper temper = Temper::kNeutral;
  double typo_rate = 0;           // per word
  bool tells_identity = false;    // in the first message
  bool tells_email_only = false;  // when asked
  bool no_email = false;
  int wrong_identity = 0;  // times
  bool no_order_id = false;
  std::string wrong_order_id;  // said first, when not empty
  bool others_order = false;   // and the wrong number was no mistake
  std::string wrong_sku;
  bool says_no = false;   // to the confirmation
  bool switches = false;  // to the next goal, instead of a plain no
  bool insists = false;   // after a refusal
};

class CustomerPlayer {
 public:
  // Borrows all but the goals. At least one goal.
  CustomerPlayer(const World& world, const PhraseBook& book, Split split, Persona persona,
                 std::vector<Goal> goals, Rng& rng);

  // The first message.
  Utterance Open();

  // The answer to what the agent asked; `refused`: it has just refused something.
  Utterance Reply(Ask ask, bool refused);

  // The number of goals told so far.
  std::size_t goals_told() const { return told_; }

 private:
  const Goal& goal() const { return goals_[told_ - 1]; }
  void Add(std::string_view section, Utterance& to);
  void AddPieces(std::vector<Piece> pieces);
  void StateGoal(Utterance& to);
  void StateDetails(Utterance& to);
  void TellIdentity(Utterance& to, std::string_view section);
  void TellItem(Utterance& to, std::string_view section);
  Utterance NextGoal(std::string_view lead);
  Utterance Finish(Utterance utterance);
  Slots Words() const;
  std::string Reference(std::string_view section, const Slots& words);
  std::string_view ReasonPrefix() const;

  const World& world_;
  const PhraseBook& book_;
  Split split_;
  Persona persona_;
  std::vector<Goal> goals_;
  Rng& rng_;
  std::size_t told_ = 0;
  std::vector<Piece> pieces_;  // of the utterance in the making
  int identity_told_ = 0;
  bool order_told_wrong_ = false;
  bool insisted_ = false;
};

}  // namespace metier::retail
