#include "retail/cases.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "retail/catalogue.h"
#include "retail/generate.h"
#include "retail/letters.h"

namespace metier::retail {
namespace {

struct Given {
  const char* key;   // in notes
  const char* slot;  // in phrases
  const char* section;
  const char* words;
};

// Notes hold the facts in this order, whatever the order of the letters.
constexpr Given kGiven[] = {{"email", "email", "say/email", "e-mail address"},
                            {"postcode", "postcode", "say/postcode", "postcode"},
                            {"order", "order_id", "say/order_id", "order number"},
                            {"number", "sku", "say/sku_corrected", "item number"}};

constexpr std::uint64_t kLongEnough = 600;  // tokens of a talk: no more letters then

class Case {
 public:
  explicit Case(Talk& talk) : talk_(talk), scene_(talk.scene()), slots_(LetterSlots(scene_)) {}

  void Letter() {
    if (letters_++ > 0) NextLetter();
    const retail::Letter letter = WriteLetter(slots_, scene_);
    note_ = letter.note;
    Hear(letter.text);
    if (Chance(0.3, scene_.rng())) AskFor(Any(kGiven, scene_));
    WriteNote();
  }

  // Things of an order; one of them is meant.
  void Things() {
    const std::size_t meant = DrawThings();
    talk_.Say("tool", Record());
    note_ = Json::object();
    const Thing& thing = things_[meant];
    bool right = true;
    if (!thing_said_) {
      talk_.Say("assistant", talk_.Phrase("chat/which"));
      Slots words = slots_;
      words["item"] = thing.name;
      words["item"] = talk_.Phrase("ref/item", words);
      talk_.Say("user", Typed("say/item", words, scene_));
    } else if (Chance(0.3, scene_.rng())) {
      Slots words = slots_;
      words["item"] = thing.name;
      talk_.Say("assistant", talk_.Phrase("chat/shall", words));
      right = Chance(0.6, scene_.rng());
      talk_.Say("user", Typed(right ? "say/yes" : "say/no", words, scene_));
      note_["answer"] = right ? "yes" : "no";
    }
    if (right) known_["number"] = thing.number;
    WriteNote();
  }

  // Where something is to be sent, said in a turn of its own.
  void Address() {
    talk_.Say("user", talk_.Phrase("chat/look"));
    Slots words = slots_;
    words["field"] = "new address";
    talk_.Say("assistant", talk_.Phrase("chat/wanted", words));
    Hear(Typed("address/new", slots_, scene_));
    note_ = {{"to", AddressNote(slots_)}};
    WriteNote();
  }

  // The versions of one thing, and the number of the one that is wanted.
  void Versions() {
    const std::vector<Version> versions = DrawVersions();
    const Version& wanted = versions[scene_.rng().Below(versions.size())];
    slots_["option"] = wanted.option;
    Hear(Typed("option/want", slots_, scene_));
    if (Chance(0.5, scene_.rng())) {
      note_ = {{"option", wanted.option}};
      WriteNote();
    } else {
      talk_.Say("assistant", talk_.Phrase("chat/noted"));
    }
    talk_.Say("tool", Record(versions));
    note_ = {{"option", wanted.option}, {"other_number", wanted.number}};
    WriteNote();
  }

 private:
  struct Thing {
    std::string name;
    std::string option;
    std::string number;
    std::string price;
  };

  struct Version {
    std::string option;
    std::string number;
    int left;
  };

  // The same person about the same or another thing.
  void NextLetter() {
    const Slots other = LetterSlots(scene_);
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
      const std::string& value = slots_.at(given.slot);
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

  void WriteNote() {
    Json note = note_;
    for (const Given& given : kGiven) {
      const auto found = known_.find(given.key);
      if (found != known_.end()) note[given.key] = *found;
    }
    talk_.Say("assistant", "<note>" + DumpPython(note) + "</note>");
  }

  // The place among things_ of the one that the writer means.
  std::size_t DrawThings() {
    things_.clear();
    const auto count = static_cast<std::size_t>(scene_.Number(1, 5));
    const std::size_t meant = scene_.rng().Below(count);
    while (things_.size() < count) {
      const Slots other = scene_.Draw();
      Thing thing{other.at("item"), AnyOption(other.at("kind"), scene_), other.at("sku"),
                  other.at("price")};
      if (things_.size() == meant) {
        thing.name = slots_.at("thing");
        thing.option = AnyOption(slots_.at("kind"), scene_);
      } else if (other.at("kind") == slots_.at("kind")) {
        continue;  // "the kettle" must be one thing
      }
      things_.push_back(std::move(thing));
    }
    return meant;
  }

  std::string Record() {
    Json things = Json::array();
    for (const Thing& thing : things_) {
      Json entry = {{"thing", thing.name}, {"option", thing.option}, {"number", thing.number}};
      if (with_prices_) entry["price"] = thing.price;
      things.push_back(std::move(entry));
    }
    Json record = {{"city", scene_.City()}, {"days", scene_.Number(1, 90)}, {"things", things}};
    return DumpCompact(record);
  }

  std::vector<Version> DrawVersions() {
    std::vector<Version> versions;
    const int tries = scene_.Number(2, 8);
    for (int i = 0; i < tries; ++i) {
      Version version{AnyOption(slots_.at("kind"), scene_), scene_.Sku(), scene_.Number(0, 40)};
      const auto same = [&version](const Version& other) { return other.option == version.option; };
      if (std::none_of(versions.begin(), versions.end(), same)) {
        versions.push_back(std::move(version));
      }
    }
    return versions;
  }

  std::string Record(const std::vector<Version>& versions) {
    Json list = Json::array();
    for (const Version& version : versions) {
      list.push_back(
          {{"option", version.option}, {"number", version.number}, {"left", version.left}});
    }
    const Slots words = scene_.Draw();
    return DumpCompact({{"thing", slots_.at("thing")},
                        {"material", words.at("material")},
                        {"price", words.at("price")},
                        {"options", list}});
  }

  Talk& talk_;
  Scene& scene_;
  Slots slots_;
  Json known_ = Json::object();
  Json note_ = Json::object();
  std::vector<Thing> things_;
  bool with_prices_ = Chance(0.5, scene_.rng());
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

}  // namespace metier::retail
