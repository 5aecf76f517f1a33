#include "retail/chats.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "retail/generate.h"
#include "retail/phrasebook.h"
#include "retail/typos.h"

namespace metier::retail {
namespace {

void Say(std::string_view role, std::string content, Json& messages) {
  messages.push_back(Json{{"role", role}, {"content", std::move(content)}});
}

std::string PhraseOf(std::string_view section, const Slots& slots, Scene& scene) {
  return PhraseBook::Ours().Pick(section, scene.split(), slots, scene.rng()).Text();
}

std::string PhraseOf(std::string_view section, Scene& scene) {
  return PhraseOf(section, scene.Draw(), scene);
}

struct Fact {
  std::string person;
  const Field* field;
  std::string value;
};

// Questions about facts, answered from them, one a pair of turns.
void AskAbout(std::vector<Fact> facts, std::size_t most, Scene& scene, Json& messages) {
  const std::size_t questions = 1 + scene.rng().Below(std::min(most, facts.size()));
  for (std::size_t i = 0; i < questions; ++i) {
    const std::size_t chosen = scene.rng().Below(facts.size());
    const Fact fact = facts[chosen];
    facts.erase(facts.begin() + static_cast<std::ptrdiff_t>(chosen));
    Slots slots = scene.Draw();
    slots["field"] = fact.field->words;
    slots["person"] = fact.person;
    slots["value"] = fact.value;
    Say("user", PhraseOf("chat/ask", slots, scene), messages);
    Say("assistant", PhraseOf("chat/answer", slots, scene), messages);
  }
}

std::vector<Fact> SomeFacts(Scene& scene) {
  const Field* fields[] = {&scene.AnyField(), &scene.AnyField()};
  const std::size_t kinds = fields[0] != fields[1] && Chance(0.5, scene.rng()) ? 2 : 1;
  std::vector<Fact> facts;
  for (const std::string& person : scene.People(scene.Number(2, 4))) {
    for (std::size_t i = 0; i < kinds; ++i) {
      facts.push_back({person, fields[i], scene.Value(*fields[i])});
    }
  }
  return facts;
}

// What somebody wrote down, in the system's, the user's or a tool's words.
void Notes(Scene& scene, Json& messages) {
  std::vector<Fact> facts = SomeFacts(scene);
  std::string text;
  for (const Fact& fact : facts) {
    Slots slots = scene.Draw();
    slots["field"] = fact.field->words;
    slots["person"] = fact.person;
    slots["value"] = fact.value;
    text += (text.empty() ? "" : " ") + PhraseOf("chat/fact", slots, scene);
  }
  if (Chance(0.5, scene.rng())) {
    Say("system", std::move(text), messages);
  } else {
    Say("user", std::move(text), messages);
    Say("assistant", PhraseOf("chat/noted", scene), messages);
  }
  AskAbout(std::move(facts), 3, scene, messages);
}

// A tool's record, and questions about it.
void Record(Scene& scene, Json& messages) {
  std::vector<Fact> facts = SomeFacts(scene);
  Json records = Json::array();
  for (const Fact& fact : facts) {
    if (records.empty() || records.back()["person"] != fact.person) {
      records.push_back(Json{{"person", fact.person}});
    }
    records.back()[std::string(fact.field->key)] = fact.value;
  }
  Say("user", PhraseOf("chat/look", scene), messages);
  Say("tool", DumpCompact(records), messages);
  Say("assistant", PhraseOf("chat/found", scene), messages);
  AskAbout(std::move(facts), 3, scene, messages);
}

// Values said over several turns, collected as JSON at the end.
void FillForm(Scene& scene, Json& messages) {
  Json object = Json::object();
  Say("user", PhraseOf("chat/form", scene), messages);
  const int fields = scene.Number(2, 4);
  for (int i = 0; i < fields; ++i) {
    const Field* field = &scene.AnyField();
    while (object.contains(std::string(field->key))) field = &scene.AnyField();
    const std::string value = scene.Value(*field);
    Slots slots = scene.Draw();
    slots["field"] = field->words;
    slots["value"] = value;
    object[std::string(field->key)] = value;
    Say("assistant", PhraseOf("chat/wanted", slots, scene), messages);
    Say("user", PhraseOf("chat/given", slots, scene), messages);
  }
  Say("assistant", DumpPython(object), messages);
}

struct Subject {
  std::string_view section;
  std::string_view words;
};

constexpr Subject kSubjects[] = {{"open/where_is", "where it is"},
                                 {"open/cancel", "cancel it"},
                                 {"open/change_address", "new address"},
                                 {"open/return", "send it back"},
                                 {"open/exchange", "swap it"},
                                 {"open/damaged", "came broken"},
                                 {"open/missing", "was not there"},
                                 {"open/faulty", "does not work"},
                                 {"open/price_drop", "cheaper now"},
                                 {"open/loyalty", "gift for good customers"},
                                 {"info/stock", "is it there"},
                                 {"info/price", "what it costs"},
                                 {"info/warranty", "how long the warranty is"},
                                 {"info/material", "what it is made of"},
                                 {"info/options", "colours and sizes"},
                                 {"search/plain", "looks for something"},
                                 {"open/out_of_scope", "not our business"},
                                 {"open/human", "wants a person"},
                                 {"open/safety", "danger"},
                                 {"open/legal", "lawyer"},
                                 {"open/compensation", "wants money for trouble"},
                                 {"open/account", "the account"},
                                 {"open/others_data", "asks about others"},
                                 {"open/rule_break", "wants an exception"}};

constexpr Subject kWhy[] = {{"cancel_reason/changed_mind", "not wanted any more"},
                            {"cancel_reason/ordered_by_mistake", "by mistake"},
                            {"cancel_reason/found_cheaper", "cheaper elsewhere"},
                            {"cancel_reason/too_slow", "takes too long"},
                            {"return_reason/too_small", "too small"},
                            {"return_reason/too_big", "too big"},
                            {"return_reason/not_as_described", "looks different"},
                            {"return_reason/changed_mind", "not wanted any more"}};

// What every phrase of customers may ask for.
Slots LetterSlots(Scene& scene) {
  Slots slots = scene.Draw();
  slots["full_name"] = scene.First() + " " + scene.Last();
  slots["max_price"] = std::to_string(scene.Number(10, 200));
  slots["new_postcode"] = scene.Postcode();
  slots["option"] = slots["colour"];
  slots["order"] =
      PhraseOf(Chance(0.6, scene.rng()) ? "ref/order" : "ref/order_unsaid", slots, scene);
  slots["item"] = PhraseOf(Chance(0.7, scene.rng()) ? "ref/item" : "ref/item_unsaid", slots, scene);
  return slots;
}

void Append(std::string_view section, const Slots& slots, Scene& scene,
            std::vector<Piece>& letter) {
  Phrase phrase = PhraseBook::Ours().Pick(section, scene.split(), slots, scene.rng());
  if (!letter.empty()) letter.push_back({" ", false});
  Piece& first = phrase.pieces.front();
  if (!first.fixed) first.text = Capitalised(std::move(first.text));
  for (Piece& piece : phrase.pieces) letter.push_back(std::move(piece));
}

// Phrases learnt by heart are of no use: what a letter is about must be found in what is left of
// them, mistyped and in small letters.
void Roughen(Scene& scene, std::vector<Piece>& letter) {
  if (Chance(0.3, scene.rng())) return;
  std::vector<Piece> rough = letter;
  DropWords(0.3 * scene.rng().Uniform(), scene.rng(), rough);
  AddTypos(0.1 * scene.rng().Uniform(), scene.rng(), rough);
  if (Chance(0.2, scene.rng())) MakeTerse(rough);
  const bool says_something = std::any_of(rough.begin(), rough.end(), [](const Piece& piece) {
    return piece.text.find_first_not_of(" .,:;!?") != std::string::npos;
  });
  if (says_something) letter = std::move(rough);  // a short one may have lost every word
}

struct Letter {
  std::vector<Piece> pieces;
  Json note = Json::object();
};

Letter DrawLetter(const Slots& slots, Scene& scene) {
  static constexpr std::string_view kMoods[] = {"mood/polite", "mood/upset", "mood/chatty",
                                                "mood/hurried"};
  Letter letter;
  if (Chance(0.25, scene.rng())) Append(Any(kMoods, scene), slots, scene, letter.pieces);
  const bool subject = Chance(0.75, scene.rng());
  if (subject) {
    const Subject& about = Any(kSubjects, scene);
    letter.note["about"] = about.words;
    Append(about.section, slots, scene, letter.pieces);
  }
  if (!subject || Chance(0.3, scene.rng())) {
    const Subject& why = Any(kWhy, scene);
    letter.note["why"] = why.words;
    Append(why.section, slots, scene, letter.pieces);
  }
  if (Chance(0.5, scene.rng())) Append("say/identity", slots, scene, letter.pieces);
  Roughen(scene, letter.pieces);
  return letter;
}

// Letters to a shop, each with a note of what it wants and which facts it gives. What is done
// about it, the notes do not know.
void Letters(Scene& scene, Json& messages) {
  const int letters = scene.Number(1, 4);
  for (int i = 0; i < letters; ++i) {
    const Slots slots = LetterSlots(scene);
    Letter letter = DrawLetter(slots, scene);
    std::string text;
    for (const Piece& piece : letter.pieces) text += piece.text;
    // In an order of their own, whatever the order of the letter.
    static constexpr std::pair<const char*, const char*> kFacts[] = {
        {"email", "email"}, {"postcode", "postcode"}, {"order", "order_id"}, {"number", "sku"}};
    for (const auto& [key, slot] : kFacts) {
      const std::string& value = slots.find(slot)->second;
      if (text.find(value) != std::string::npos) letter.note[key] = value;
    }
    Say("user", text, messages);
    Say("assistant", DumpPython(letter.note), messages);
  }
}

void SmallTalk(Scene& scene, Json& messages) {
  const Slots slots = scene.Draw();
  const int pairs = scene.Number(1, 3);
  for (int i = 0; i < pairs; ++i) {
    Say("user", PhraseOf("chat/remark", slots, scene), messages);
    Say("assistant", PhraseOf("chat/reply", slots, scene), messages);
  }
}

}  // namespace

Json Chat(Scene& scene) {
  Json messages = Json::array();
  switch (scene.rng().Below(12)) {
    case 0:
    case 1: Notes(scene, messages); break;
    case 2:
    case 3: Record(scene, messages); break;
    case 4:
    case 5: FillForm(scene, messages); break;
    case 6:
    case 7:
    case 8:
    case 9:
    case 10: Letters(scene, messages); break;
    default: SmallTalk(scene, messages); break;
  }
  return messages;
}

}  // namespace metier::retail
