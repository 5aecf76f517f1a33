#include "retail/corpus.h"

#include "retail/chats.h"
#include "retail/exercises.h"
#include "retail/generate.h"
#include "retail/phrasebook.h"
#include "retail/scene.h"
#include "retail/typos.h"

namespace metier::retail {
namespace {

std::string Sentence(std::string_view section, const Slots& slots, Scene& scene) {
  return Capitalised(PhraseBook::Ours().Pick(section, scene.split(), slots, scene.rng()).Text());
}

// A story keeps its people and its thing, and changes the numbers.
std::string Story(Scene& scene) {
  const Slots slots = scene.Draw();
  std::string out = Sentence("story/open", slots, scene);
  const int middle = scene.Number(2, 5);
  for (int i = 0; i < middle; ++i) out += " " + Sentence("story/middle", slots, scene);
  return out + " " + Sentence("story/end", slots, scene);
}

// Several texts of one kind about one thing.
std::string Texts(std::string_view section, int most, Scene& scene) {
  Slots slots = scene.Draw();
  std::string out = Sentence(section, slots, scene);
  const int more = scene.Number(0, most - 1);
  for (int i = 0; i < more; ++i) {
    if (Chance(0.5, scene.rng())) slots = scene.Draw();
    out += "\n" + Sentence(section, slots, scene);
  }
  return out;
}

std::string Prose(Scene& scene) {
  switch (scene.rng().Below(8)) {
    case 0: return Texts("product/text", 3, scene);
    case 1: return Texts("review/text", 3, scene);
    case 2: return Texts("faq/text", 3, scene);
    case 3:
    case 4: return Texts("letter/text", 2, scene);
    case 5: return Texts("chat/text", 3, scene);
    default: return Story(scene);
  }
}

}  // namespace

std::string CorpusWriter::Document(std::uint64_t index) const {
  Rng rng(seed_, /*stream=*/index * 4 + static_cast<std::uint64_t>(split_));
  Scene scene(split_, rng, spellings_);
  return Chance(0.45, rng) ? Prose(scene) : Exercise(scene);
}

std::string CorpusWriter::Repetition(std::uint64_t index) const {
  Rng rng(seed_, /*stream=*/(index * 4 + static_cast<std::uint64_t>(split_)) ^ (1ULL << 62));
  Scene scene(split_, rng, spellings_);
  return Repeat(scene);
}

Json CorpusWriter::Conversation(std::uint64_t index) const {
  Rng rng(seed_, /*stream=*/(index * 4 + static_cast<std::uint64_t>(split_)) ^ (1ULL << 63));
  Scene scene(split_, rng, spellings_);
  return Chat(scene);
}

Json CorpusWriter::LookingUp(std::uint64_t index) const {
  Rng rng(seed_, /*stream=*/(index * 4 + static_cast<std::uint64_t>(split_)) ^ (3ULL << 62));
  Scene scene(split_, rng, spellings_);
  return LookUpChat(scene);
}

}  // namespace metier::retail
