#include "retail/records.h"

#include <algorithm>
#include <utility>

#include "retail/generate.h"
#include "retail/letters.h"

namespace metier::retail {
namespace {

// Of the short notes: these first write down whose number it is. To find a number by a name that
// stands right before it comes first, to find it by a name said elsewhere comes from that.
constexpr double kNamed = 0.5;

// Each once at most: an answer that was given before would only be repeated.
template <class Element>
std::vector<Element> Some(std::vector<Element> list, int count, Rng& rng) {
  Shuffle(list, rng);
  if (static_cast<std::size_t>(count) < list.size()) {
    list.erase(list.begin() + count, list.end());
  }
  return list;
}

void ShortNote(Json known, Talk& talk) {
  talk.Say("assistant", Note({{"known", std::move(known)}}));
}

}  // namespace

std::string Note(const Json& note) { return "<note>" + DumpPython(note) + "</note>"; }

Thing AThing(const std::string& kind, const std::string& name, Scene& scene) {
  return {kind, name, AnyOption(kind, scene), scene.Sku(), scene.Price()};
}

std::vector<Thing> DrawThings(const Thing& meant, int count, Scene& scene, std::size_t& place) {
  std::vector<Thing> things;
  const auto has = [&things, &meant](const std::string& kind) {
    return kind == meant.kind || std::any_of(things.begin(), things.end(), [&](const Thing& thing) {
             return thing.kind == kind;
           });
  };
  for (int i = 1; i < count; ++i) {
    const Slots other = scene.Draw();
    if (!has(other.at("kind"))) things.push_back(AThing(other.at("kind"), other.at("item"), scene));
  }
  place = scene.rng().Below(things.size() + 1);
  things.insert(things.begin() + static_cast<std::ptrdiff_t>(place), meant);
  return things;
}

std::vector<Version> DrawVersions(const std::string& kind, Scene& scene) {
  std::vector<Version> versions;
  const int tries = scene.Number(2, 8);
  for (int i = 0; i < tries; ++i) {
    Version version{AnyOption(kind, scene), scene.Sku(), scene.Number(0, 40)};
    const auto same = [&version](const Version& other) { return other.option == version.option; };
    if (std::none_of(versions.begin(), versions.end(), same)) {
      versions.push_back(std::move(version));
    }
  }
  return versions;
}

std::string ThingsRecord(const std::vector<Thing>& things, bool with_prices, Scene& scene) {
  Json list = Json::array();
  for (const Thing& thing : things) {
    Json entry = {{"item", thing.name}, {"sku", thing.number}, {"option", thing.option}};
    if (with_prices) entry["price"] = thing.price;
    list.push_back(std::move(entry));
  }
  return DumpCompact({{"city", scene.City()}, {"days", scene.Number(1, 90)}, {"items", list}});
}

std::string VersionsRecord(const std::string& thing, const std::vector<Version>& versions,
                           Scene& scene) {
  Json list = Json::array();
  for (const Version& version : versions) {
    list.push_back({{"option", version.option}, {"sku", version.number}, {"stock", version.left}});
  }
  const Slots words = scene.Draw();
  return DumpCompact({{"item", thing},
                      {"material", words.at("material")},
                      {"price", words.at("price")},
                      {"options", list}});
}

void AskForThings(const std::vector<Thing>& things, int most, const Slots& slots, Talk& talk) {
  Slots words = slots;
  for (const Thing& thing : Some(things, most, talk.scene().rng())) {
    words["kind"] = thing.kind;
    words["item"] = thing.name;
    words["item"] = talk.Phrase("ref/item", words);
    talk.Say("user", Typed("say/item", words, talk.scene()));
    Json known = Json::object();
    if (Chance(kNamed, talk.scene().rng())) known["item"] = thing.name;
    known["sku"] = thing.number;
    ShortNote(std::move(known), talk);
  }
}

void AskForVersions(const std::vector<Version>& versions, int most, const Slots& slots,
                    Talk& talk) {
  Slots words = slots;
  for (const Version& version : Some(versions, most, talk.scene().rng())) {
    words["option"] = version.option;
    talk.Say("user", Typed("option/want", words, talk.scene()));
    Json known = Json::object();
    if (Chance(kNamed, talk.scene().rng())) known["option"] = version.option;
    known["new_sku"] = version.number;
    ShortNote(std::move(known), talk);
  }
}

void LookUpNumbers(Talk& talk) {
  Scene& scene = talk.scene();
  const Slots slots = LetterSlots(scene);
  const int most = scene.Number(3, 6);
  if (Chance(0.6, scene.rng())) {
    std::size_t place = 0;
    const Thing meant = AThing(slots.at("kind"), slots.at("thing"), scene);
    const std::vector<Thing> things = DrawThings(meant, scene.Number(2, 6), scene, place);
    talk.Say("tool", ThingsRecord(things, Chance(0.5, scene.rng()), scene));
    talk.Say("assistant", talk.Phrase("chat/found"));
    return AskForThings(things, most, slots, talk);
  }
  const std::vector<Version> versions = DrawVersions(slots.at("kind"), scene);
  talk.Say("tool", VersionsRecord(slots.at("thing"), versions, scene));
  talk.Say("assistant", talk.Phrase("chat/found"));
  AskForVersions(versions, most, slots, talk);
}

}  // namespace metier::retail
