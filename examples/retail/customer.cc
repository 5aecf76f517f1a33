#include "retail/customer.h"

#include <array>
#include <utility>

#include "base/check.h"
#include "retail/generate.h"
#include "retail/synonyms.h"
#include "retail/typos.h"

namespace metier::retail {
namespace {

constexpr double kOtherWords = 0.3;  // of those that have a synonym

bool Contains(const std::string& text, const std::string& part) {
  return !part.empty() && text.find(part) != std::string::npos;
}

bool IsSizeOrReason(Request request) {
  return request == Request::kCancel || request == Request::kReturn;
}

bool EndsSentence(const std::string& text) {
  return text.empty() || text.back() == '.' || text.back() == '!' || text.back() == '?' ||
         text.back() == ':';
}

// "a kettle", "an alarm clock"; "socks" and "boots" need no article.
std::string WithArticle(const std::string& kind) {
  if (kind.empty() || kind.back() == 's') return kind;
  const bool vowel = std::string_view("aeiou").find(kind.front()) != std::string_view::npos;
  return (vowel ? "an " : "a ") + kind;
}

// A slip in something copied by hand: the digit or letter at `at` is another one.
std::string Misread(std::string text, std::size_t at) {
  char& c = text[at];
  c = c == '9' ? '3' : (c >= '0' && c < '9' ? static_cast<char>(c + 1) : (c == 'e' ? 'a' : 'e'));
  return text;
}

}  // namespace

std::string_view Name(Temper temper) {
  static constexpr std::array<std::string_view, 6> kNames = {"neutral", "polite", "terse",
                                                             "upset",   "chatty", "hurried"};
  return kNames[static_cast<std::size_t>(temper)];
}

CustomerPlayer::CustomerPlayer(const World& world, const PhraseBook& book, Split split,
                               Persona persona, std::vector<Goal> goals, Rng& rng)
    : world_(world),
      book_(book),
      split_(split),
      persona_(std::move(persona)),
      goals_(std::move(goals)),
      rng_(rng) {
  METIER_CHECK(!goals_.empty(), "a customer without a goal");
}

Slots CustomerPlayer::Words() const {
  const Customer& customer = world_.customers[persona_.customer];
  const Facts& facts = goal().facts;
  Slots words = {{"email", customer.email},
                 {"postcode", customer.postcode},
                 {"order_id", facts.order_id},
                 {"kind", goal().kind},
                 {"item", facts.item},
                 {"street", facts.street},
                 {"city", facts.city},
                 {"new_postcode", facts.new_postcode},
                 {"option", facts.option},
                 {"sku", facts.sku},
                 {"colour", facts.colour},
                 {"max_price", std::to_string(facts.max_price)},
                 {"full_name", goal().other_name}};
  if (!facts.kind.empty()) {
    words["kind"] = facts.kind;
    words["a_kind"] = WithArticle(facts.kind);
  }
  return words;
}

std::string CustomerPlayer::Reference(std::string_view section, const Slots& words) {
  return book_.Pick(section, split_, words, rng_).Text();
}

void CustomerPlayer::AddPieces(std::vector<Piece> pieces) {
  if (!pieces_.empty()) pieces_.push_back({" ", false});
  for (Piece& piece : pieces) pieces_.push_back(std::move(piece));
}

void CustomerPlayer::Add(std::string_view section, Utterance& to) {
  Phrase phrase = book_.Pick(section, split_, Words(), rng_);
  to.phrases.push_back(std::move(phrase.id));
  AddPieces(std::move(phrase.pieces));
}

void CustomerPlayer::StateGoal(Utterance& to) {
  const Facts& facts = goal().facts;
  to.act = Act::kRequest;
  to.request = goal().request;
  Slots words = Words();
  if (facts.same_order) {
    words["order"] = Reference("ref/same_order", words);
    to.facts.same_order = true;
  } else if (!facts.order_id.empty() && !persona_.no_order_id && Chance(0.6, rng_)) {
    if (!persona_.wrong_order_id.empty() && !std::exchange(order_told_wrong_, true)) {
      words["order_id"] = persona_.wrong_order_id;
    }
    words["order"] = Reference("ref/order", words);
  } else {
    words["order"] = Reference("ref/order_unsaid", words);
  }
  const bool must = goal().request == Request::kMissing;
  const bool says_item = must || Chance(goal().one_item ? 0.7 : 0.85, rng_);
  if (!facts.item.empty() && says_item) {
    words["item"] = Reference("ref/item", words);
  } else {
    words["item"] = Reference("ref/item_unsaid", words);
  }
  if (!facts.sku.empty() && !persona_.wrong_sku.empty()) words["sku"] = persona_.wrong_sku;
  to.facts.sku = facts.sku.empty() ? "" : words["sku"];
  to.facts.kind = facts.kind;
  to.facts.colour = facts.colour;
  to.facts.max_price = facts.max_price;
  to.facts.topic = facts.topic;

  std::string section = "open/" + std::string(Name(goal().request));
  if (goal().request == Request::kProductInfo) section = "info/" + facts.topic;
  if (goal().request == Request::kPolicyQuestion) section = "topic/" + facts.topic;
  if (goal().request == Request::kSearch) {
    section = std::string("search/") + (facts.colour.empty()
                                            ? (facts.max_price == 0 ? "plain" : "price")
                                            : (facts.max_price == 0 ? "colour" : "both"));
  }
  Phrase phrase = book_.Pick(section, split_, words, rng_);
  // Only what the words contain has been said: not every template names order and item.
  const std::string text = phrase.Text();
  if (Contains(text, words["order_id"])) to.facts.order_id = words["order_id"];
  if (says_item && Contains(text, words["item"])) to.facts.item = facts.item;
  to.phrases.push_back(std::move(phrase.id));
  if (pieces_.empty() || EndsSentence(pieces_.back().text)) {
    phrase.pieces.front().text = Capitalised(std::move(phrase.pieces.front().text));
  }
  AddPieces(std::move(phrase.pieces));
}

std::string_view CustomerPlayer::ReasonPrefix() const {
  return goal().request == Request::kCancel ? "cancel_reason/" : "return_reason/";
}

void CustomerPlayer::StateDetails(Utterance& to) {
  const Facts& facts = goal().facts;
  if (IsSizeOrReason(goal().request) && Chance(0.6, rng_)) {
    Add(std::string(ReasonPrefix()) + facts.reason, to);
    to.facts.reason = facts.reason;
  }
  if (facts.wish != Wish::kUnsaid && Chance(0.6, rng_)) {
    Add(facts.wish == Wish::kMoney ? "wish/money" : "wish/same", to);
    to.facts.wish = facts.wish;
  }
  if (!facts.option.empty() && Chance(0.7, rng_)) {
    Add("option/want", to);
    to.facts.option = facts.option;
  }
  if (goal().request == Request::kChangeAddress && Chance(0.5, rng_)) {
    Add("address/new", to);
    to.facts.street = facts.street;
    to.facts.city = facts.city;
    to.facts.new_postcode = facts.new_postcode;
  }
}

void CustomerPlayer::TellIdentity(Utterance& to, std::string_view section) {
  Slots words = Words();
  std::string& email = words["email"];
  std::string& postcode = words["postcode"];
  if (identity_told_++ < persona_.wrong_identity) {
    if (Chance(0.5, rng_)) {
      email = Misread(email, 1 + rng_.Below(email.find('@') - 1));
    } else {
      postcode = Misread(postcode, 1 + rng_.Below(4));
    }
  }
  Phrase phrase = book_.Pick(section, split_, words, rng_);
  const std::string text = phrase.Text();
  if (Contains(text, email)) to.facts.email = email;
  if (Contains(text, postcode)) to.facts.postcode = postcode;
  to.phrases.push_back(std::move(phrase.id));
  AddPieces(std::move(phrase.pieces));
}

void CustomerPlayer::TellItem(Utterance& to, std::string_view section) {
  Slots words = Words();
  words["item"] = Reference("ref/item", words);
  to.facts.item = goal().facts.item;
  Phrase phrase = book_.Pick(section, split_, words, rng_);
  phrase.pieces.front().text = Capitalised(std::move(phrase.pieces.front().text));
  to.phrases.push_back(std::move(phrase.id));
  AddPieces(std::move(phrase.pieces));
}

Utterance CustomerPlayer::Open() {
  ++told_;
  pieces_.clear();
  Utterance out;
  if (persona_.temper != Temper::kTerse && Chance(0.5, rng_)) {
    AddPieces(book_.Pick("greeting", split_, {}, rng_).pieces);
  }
  const bool plain = persona_.temper == Temper::kNeutral || persona_.temper == Temper::kTerse;
  if (!plain && Chance(0.7, rng_)) {
    Add("mood/" + std::string(Name(persona_.temper)), out);
  }
  StateGoal(out);
  StateDetails(out);
  const bool needs_identity = !goal().facts.order_id.empty();
  if (persona_.tells_identity && needs_identity) TellIdentity(out, "say/identity");
  return Finish(std::move(out));
}

Utterance CustomerPlayer::NextGoal(std::string_view lead) {
  Utterance out;
  Add(lead, out);
  ++told_;
  StateGoal(out);
  StateDetails(out);
  return Finish(std::move(out));
}

Utterance CustomerPlayer::Reply(Ask ask, bool refused) {
  pieces_.clear();
  Utterance out;
  const Facts& facts = goal().facts;
  switch (ask) {
    case Ask::kIdentity:
      out.facts.no_email = persona_.no_email;
      TellIdentity(out, persona_.no_email           ? "say/no_email"
                        : persona_.tells_email_only ? "say/email"
                                                    : "say/identity");
      break;
    case Ask::kIdentityAgain: TellIdentity(out, "say/identity_corrected"); break;
    case Ask::kEmail: TellIdentity(out, "say/email"); break;
    case Ask::kPostcode: TellIdentity(out, "say/postcode"); break;
    case Ask::kOrderAndPostcode:
      TellIdentity(out, "say/order_and_postcode");
      out.facts.order_id = facts.order_id;
      break;
    case Ask::kOrderId:
      if (persona_.no_order_id) {
        out.facts.no_order_id = true;
        TellItem(out, "say/no_order_id");
      } else if (!persona_.wrong_order_id.empty() && !std::exchange(order_told_wrong_, true)) {
        Slots words = Words();
        out.facts.order_id = words["order_id"] = persona_.wrong_order_id;
        Phrase phrase = book_.Pick("say/order_id", split_, words, rng_);
        out.phrases.push_back(std::move(phrase.id));
        AddPieces(std::move(phrase.pieces));
      } else {
        out.facts.order_id = facts.order_id;
        Add("say/order_id", out);
      }
      break;
    case Ask::kOrderIdAgain:
      out.facts.others_order = persona_.others_order;
      if (!persona_.others_order) out.facts.order_id = facts.order_id;
      Add(persona_.others_order ? "say/others_order" : "say/order_id_corrected", out);
      break;
    case Ask::kSkuAgain:
      out.facts.sku = facts.sku;
      Add("say/sku_corrected", out);
      break;
    case Ask::kItem: TellItem(out, "say/item"); break;
    case Ask::kReason:
      out.facts.reason = facts.reason;
      Add(std::string(ReasonPrefix()) + facts.reason, out);
      break;
    case Ask::kWish:
      out.facts.wish = facts.wish;
      Add(facts.wish == Wish::kMoney ? "wish/money" : "wish/same", out);
      break;
    case Ask::kOption:
      out.facts.option = facts.option;
      Add("option/want", out);
      break;
    case Ask::kAddress:
      out.facts.street = facts.street;
      out.facts.city = facts.city;
      out.facts.new_postcode = facts.new_postcode;
      Add("address/new", out);
      break;
    case Ask::kConfirm:
      if (std::exchange(persona_.says_no, false)) {
        if (persona_.switches && told_ < goals_.size()) return NextGoal("say/switch");
        out.act = Act::kNo;
        Add("say/no", out);
      } else {
        out.act = Act::kYes;
        Add("say/yes", out);
      }
      break;
    case Ask::kAnythingElse:
      if (refused && persona_.insists && !std::exchange(insisted_, true)) {
        out.act = Act::kInsist;
        Add("say/insist", out);
      } else if (told_ < goals_.size()) {
        return NextGoal("say/next");
      } else {
        out.act = Act::kDone;
        Add(refused ? "say/done_unhappy" : "say/done", out);
      }
      break;
    case Ask::kNothing: METIER_CHECK(false, "nothing was asked"); break;
  }
  return Finish(std::move(out));
}

Utterance CustomerPlayer::Finish(Utterance utterance) {
  // "Hello, please ..." and not "Hello, Please ...".
  if (pieces_.size() > 2 && !pieces_[0].text.empty() && pieces_[0].text.back() == ',') {
    std::string& after = pieces_[2].text;
    if (after.size() > 1 && after[0] >= 'A' && after[0] <= 'Z' && after[1] >= 'a') {
      after[0] = static_cast<char>(after[0] - 'A' + 'a');
    }
  }
  if (split_ == Split::kTrain) SwapSynonyms(kOtherWords, rng_, pieces_);
  AddTypos(persona_.typo_rate, rng_, pieces_);
  if (persona_.temper == Temper::kTerse) MakeTerse(pieces_);
  utterance.text.clear();
  for (const Piece& piece : pieces_) utterance.text += piece.text;
  return utterance;
}

}  // namespace metier::retail
