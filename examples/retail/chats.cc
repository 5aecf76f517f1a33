#include "retail/chats.h"

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "retail/cases.h"
#include "retail/generate.h"
#include "retail/phrasebook.h"
#include "retail/records.h"
#include "retail/talk.h"

namespace metier::retail {
namespace {

// In the same words for everybody: one field or two of some people.
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

void AskAbout(const std::vector<Fact>& facts, Talk& talk) {
  for (const Fact& fact : facts) talk.Remember(fact);
  const int questions = talk.scene().Number(1, 3);
  for (int i = 0; i < questions; ++i) talk.AskBack(facts.size());
}

// What somebody wrote down, in the system's or the user's words.
void Notes(Talk& talk) {
  const std::vector<Fact> facts = SomeFacts(talk.scene());
  std::string text;
  for (const Fact& fact : facts) {
    text += (text.empty() ? "" : " ") + talk.Phrase("chat/fact", fact);
  }
  if (talk.messages().empty() && Chance(0.7, talk.scene().rng())) {
    talk.Say("system", std::move(text));
  } else {
    talk.Say("user", std::move(text));
    talk.Say("assistant", talk.Phrase("chat/noted"));
  }
  AskAbout(facts, talk);
}

// A tool's record, and questions about it.
void Record(Talk& talk) {
  const std::vector<Fact> facts = SomeFacts(talk.scene());
  Json records = Json::array();
  for (const Fact& fact : facts) {
    if (records.empty() || records.back()["person"] != fact.person) {
      records.push_back(Json{{"person", fact.person}});
    }
    records.back()[std::string(fact.field->key)] = fact.value;
  }
  talk.Say("user", talk.Phrase("chat/look"));
  talk.Say("tool", DumpCompact(records));
  talk.Say("assistant", talk.Phrase("chat/found"));
  AskAbout(facts, talk);
}

// Values said over several turns, collected as JSON at the end.
void FillForm(Talk& talk) {
  Scene& scene = talk.scene();
  Json object = Json::object();
  talk.Say("user", talk.Phrase("chat/form"));
  const int fields = scene.Number(2, 4);
  for (int i = 0; i < fields; ++i) {
    const Field* field = &scene.AnyField();
    while (object.contains(std::string(field->key))) field = &scene.AnyField();
    const Fact fact{"", field, scene.Value(*field)};
    object[std::string(field->key)] = fact.value;
    talk.Say("assistant", talk.Phrase("chat/wanted", fact));
    talk.Say("user", talk.Phrase("chat/given", fact));
  }
  talk.Say("assistant", DumpPython(object));
}

void SmallTalk(Talk& talk) {
  const Slots slots = talk.scene().Draw();
  const int pairs = talk.scene().Number(1, 3);
  for (int i = 0; i < pairs; ++i) {
    talk.Say("user", talk.Phrase("chat/remark", slots));
    talk.Say("assistant", talk.Phrase("chat/reply", slots));
  }
}

void AnyScene(Talk& talk) {
  const std::uint64_t chosen = talk.scene().rng().Below(13);
  if (chosen < 6) return HandleCase(talk);
  switch (chosen) {
    case 6:
    case 7: return SortMail(talk);
    case 8: return Notes(talk);
    case 9: return Record(talk);
    case 10: return FillForm(talk);
    case 11: return LookUpNumbers(talk);
    default: return SmallTalk(talk);
  }
}

}  // namespace

Json Chat(Scene& scene) {
  Talk talk(scene);
  const auto wanted = static_cast<std::uint64_t>(scene.Number(40, 650));
  do {
    AnyScene(talk);
    if (talk.facts() > 0 && Chance(0.5, scene.rng())) talk.AskBack(/*latest=*/0);
  } while (talk.tokens() < wanted);
  return talk.messages();
}

Json LookUpChat(Scene& scene) {
  Talk talk(scene);
  const int records = scene.Number(1, 2);
  for (int i = 0; i < records; ++i) LookUpNumbers(talk);
  return talk.messages();
}

}  // namespace metier::retail
