#include "retail/cases.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "retail/generate.h"
#include "retail/letters.h"
#include "retail/records.h"

namespace metier::retail {
namespace {

struct Given {
  const char* key;  // in notes, and the slot in phrases
  const char* section;
  const char* words;
};

constexpr Given kGiven[] = {{"email", "say/email", "e-mail address"},
                            {"postcode", "say/postcode", "postcode"},
                            {"order_id", "say/order_id", "order number"},
                            {"sku", "say/sku_corrected", "item number"}};

constexpr std::uint64_t kLongEnough = 600;  // tokens of a talk: no more letters then

// Asks whether it shall be so, and hears an answer.
bool Agrees(const std::string& item, Slots words, Talk& talk) {
  words["item"] = item;
  talk.Say("assistant", talk.Phrase("chat/shall", words));
  const bool agrees = Chance(0.5, talk.scene().rng());
  talk.Say("user", Typed(agrees ? "say/yes" : "say/no", words, talk.scene()));
  return agrees;
}

const char* YesOrNo(bool agrees) { return agrees ? "yes" : "no"; }

class Case {
 public:
  explicit Case(Talk& talk) : talk_(talk), scene_(talk.scene()), slots_(LetterSlots(scene_)) {}

  void Letter() {
    if (letters_++ > 0) NextLetter();
    const retail::Letter letter = WriteLetter(slots_, scene_);
    judged_ = letter.judged;
    details_ = letter.details;
    Hear(letter.text);
    if (Chance(0.3, scene_.rng())) AskFor(Any(kGiven, scene_));
    NoteOrNod();
  }

  // Things of an order; one of them is meant.
  void Things() {
    std::size_t place = 0;
    const std::vector<Thing> things = DrawThings(AThing(slots_["kind"], slots_["thing"], scene_),
                                                 scene_.Number(1, 5), scene_, place);
    const std::string status = AnyStatus(scene_);
    talk_.Say("tool", OrderRecord({slots_["order_id"], things}, status, scene_));
    const Thing& thing = things[place];
    bool right = true;
    Json judged = judged_;
    if (!thing_said_) {
      talk_.Say("assistant", talk_.Phrase("chat/which"));
      Slots words = slots_;
      words["item"] = thing.name;
      words["item"] = talk_.Phrase("ref/item", words);
      talk_.Say("user", Typed("say/item", words, scene_));
    } else if (Chance(0.3, scene_.rng())) {
      right = Agrees(thing.name, slots_, talk_);
      judged["answer"] = YesOrNo(right);
    }
    known_["order_id"] = slots_["order_id"];
    known_["status"] = status;
    if (right) known_["sku"] = thing.number;
    WriteNote(std::move(judged));
    AskForThings(things, scene_.Number(0, 3), slots_, talk_);
  }

  // Where something is to be sent, said in a turn of its own.
  void Address() {
    talk_.Say("user", talk_.Phrase("chat/look"));
    Slots words = slots_;
    words["field"] = "new address";
    talk_.Say("assistant", talk_.Phrase("chat/wanted", words));
    Hear(Typed("address/new", slots_, scene_));
    details_.update(AddressDetails(slots_));
    NoteOrNod();
  }

  // The versions of one thing, and the number of the one that is wanted.
  void Versions() {
    const std::vector<Version> versions = DrawVersions(slots_["kind"], scene_);
    const Version& wanted = versions[scene_.rng().Below(versions.size())];
    slots_["option"] = wanted.option;
    Hear(Typed("option/want", slots_, scene_));
    details_["option"] = wanted.option;
    details_.erase("new_sku");
    NoteOrNod();
    talk_.Say("tool", VersionsRecord(slots_["thing"], versions, scene_));
    details_["new_sku"] = wanted.number;
    Json judged = judged_;
    if (Chance(0.5, scene_.rng())) {
      judged["answer"] =
          YesOrNo(Agrees(slots_.at("thing") + " in " + wanted.option, slots_, talk_));
    }
    WriteNote(std::move(judged));
    AskForVersions(versions, scene_.Number(0, 3), slots_, talk_);
  }

 private:
  // The same person about the same or another thing.
  void NextLetter() {
    const Slots other = LetterSlots(scene_);
    known_.erase("sku");
    known_.erase("status");
    for (const char* slot :
         {"sku", "street", "city", "new_postcode", "friend", "max_price", "full_name"}) {
      slots_[slot] = other.at(slot);
    }
    if (Chance(0.5, scene_.rng())) slots_["order_id"] = other.at("order_id");
    if (Chance(0.5, scene_.rng())) {
      for (const char* slot : {"thing", "kind", "a_kind", "colour"}) {
        slots_[slot] = other.at(slot);
      }
    }
    slots_["option"] = AnyOption(slots_["kind"], scene_);
    ReferTo(slots_, scene_);
  }

  void Hear(const std::string& text) {
    talk_.Say("user", text);
    for (const Given& given : kGiven) {
      const std::string& value = slots_.at(given.key);
      if (text.find(value) != std::string::npos) known_[given.key] = value;
    }
    thing_said_ = text.find(slots_.at("kind")) != std::string::npos ||
                  text.find(slots_.at("thing")) != std::string::npos;
  }

  void AskFor(const Given& given) {
    Slots words = slots_;
    words["field"] = given.words;
    talk_.Say("assistant", talk_.Phrase("chat/wanted", words));
    const bool thing_said = thing_said_;
    Hear(Typed(given.section, slots_, scene_));
    thing_said_ = thing_said_ || thing_said;
  }

  // Much is noted only after something else was said.
  void NoteOrNod() {
    if (Chance(0.6, scene_.rng())) return WriteNote(judged_);
    talk_.Say("assistant", talk_.Phrase("chat/noted"));
  }

  void WriteNote(Json note) {
    std::vector<std::pair<std::string, Json>> facts;
    for (const Json* some : {&known_, &details_}) {
      for (const auto& [key, value] : some->items()) facts.emplace_back(key, value);
    }
    // In any order: a value belongs to its key, not to its place.
    Shuffle(facts, scene_.rng());
    for (const auto& [key, value] : facts) note["known"][key] = value;
    talk_.Say("assistant", Note(note));
  }

  Talk& talk_;
  Scene& scene_;
  Slots slots_;
  Json known_ = Json::object();
  Json judged_ = Json::object();   // what the last letter is about
  Json details_ = Json::object();  // for which reason, what it looks for, or where to
  bool thing_said_ = false;
  int letters_ = 0;
};

}  // namespace

void HandleCase(Talk& talk) {
  Case handled(talk);
  const int letters = talk.scene().Number(1, 3);
  for (int i = 0; i < letters && talk.tokens() < kLongEnough; ++i) {
    handled.Letter();
    if (Chance(0.5, talk.scene().rng())) handled.Things();
    if (Chance(0.2, talk.scene().rng())) handled.Versions();
    if (Chance(0.1, talk.scene().rng())) handled.Address();
  }
}

// Of letters that say only one thing, what it is; some are asked back.
void SortMail(Talk& talk) {
  const int letters = talk.scene().Number(3, 9);
  for (int i = 0; i < letters; ++i) {
    const Slots slots = LetterSlots(talk.scene());
    const Letter letter = WriteLine(slots, talk.scene());
    talk.Say("user", letter.text);
    Json note = letter.judged;
    if (Chance(0.3, talk.scene().rng())) {
      note["answer"] = YesOrNo(Agrees(slots.at("thing"), slots, talk));
    }
    if (!letter.details.empty()) note["known"] = letter.details;
    talk.Say("assistant", Note(note));
  }
}

}  // namespace metier::retail
