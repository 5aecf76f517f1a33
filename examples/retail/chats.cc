#include "retail/chats.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "retail/generate.h"
#include "retail/phrasebook.h"

namespace metier::retail {
namespace {

void Say(std::string_view role, std::string content, Json& messages) {
  messages.push_back(Json{{"role", role}, {"content", std::move(content)}});
}

std::string Phrase(std::string_view section, const Slots& slots, Scene& scene) {
  return PhraseBook::Ours().Pick(section, scene.split(), slots, scene.rng()).Text();
}

std::string Phrase(std::string_view section, Scene& scene) {
  return Phrase(section, scene.Draw(), scene);
}

struct Fact {
  std::string person;
  const Field* field;
  std::string value;
};

// Questions about facts, answered from them, one a pair of turns.
void Ask(std::vector<Fact> facts, std::size_t most, Scene& scene, Json& messages) {
  const std::size_t questions = 1 + scene.rng().Below(std::min(most, facts.size()));
  for (std::size_t i = 0; i < questions; ++i) {
    const std::size_t chosen = scene.rng().Below(facts.size());
    const Fact fact = facts[chosen];
    facts.erase(facts.begin() + static_cast<std::ptrdiff_t>(chosen));
    Slots slots = scene.Draw();
    slots["field"] = fact.field->words;
    slots["person"] = fact.person;
    slots["value"] = fact.value;
    Say("user", Phrase("chat/ask", slots, scene), messages);
    Say("assistant", Phrase("chat/answer", slots, scene), messages);
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
    text += (text.empty() ? "" : " ") + Phrase("chat/fact", slots, scene);
  }
  if (Chance(0.5, scene.rng())) {
    Say("system", std::move(text), messages);
  } else {
    Say("user", std::move(text), messages);
    Say("assistant", Phrase("chat/noted", scene), messages);
  }
  Ask(std::move(facts), 3, scene, messages);
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
  Say("user", Phrase("chat/look", scene), messages);
  Say("tool", DumpCompact(records), messages);
  Say("assistant", Phrase("chat/found", scene), messages);
  Ask(std::move(facts), 3, scene, messages);
}

// Values said over several turns, collected as JSON at the end.
void Form(Scene& scene, Json& messages) {
  Json object = Json::object();
  Say("user", Phrase("chat/form", scene), messages);
  const int fields = scene.Number(2, 4);
  for (int i = 0; i < fields; ++i) {
    const Field* field = &scene.AnyField();
    while (object.contains(std::string(field->key))) field = &scene.AnyField();
    const std::string value = scene.Value(*field);
    Slots slots = scene.Draw();
    slots["field"] = field->words;
    slots["value"] = value;
    object[std::string(field->key)] = value;
    Say("assistant", Phrase("chat/wanted", slots, scene), messages);
    Say("user", Phrase("chat/given", slots, scene), messages);
  }
  Say("assistant", DumpCompact(object), messages);
}

void SmallTalk(Scene& scene, Json& messages) {
  const Slots slots = scene.Draw();
  const int pairs = scene.Number(1, 3);
  for (int i = 0; i < pairs; ++i) {
    Say("user", Phrase("chat/remark", slots, scene), messages);
    Say("assistant", Phrase("chat/reply", slots, scene), messages);
  }
}

}  // namespace

Json Chat(Scene& scene) {
  Json messages = Json::array();
  switch (scene.rng().Below(7)) {
    case 0:
    case 1: Notes(scene, messages); break;
    case 2:
    case 3: Record(scene, messages); break;
    case 4:
    case 5: Form(scene, messages); break;
    default: SmallTalk(scene, messages); break;
  }
  return messages;
}

}  // namespace metier::retail
