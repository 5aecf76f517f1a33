#include "retail/talk.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "retail/phrasebook.h"
#include "retail/rough_tokens.h"

namespace metier::retail {
namespace {

constexpr std::uint64_t kTokensOfATurn = 5;  // its opening with the role, and its end

}  // namespace

void Talk::Say(std::string_view role, std::string content) {
  tokens_ += RoughTokens(content) + kTokensOfATurn;
  messages_.push_back(Json{{"role", role}, {"content", std::move(content)}});
}

void Talk::Remember(const Fact& fact) {
  const auto same = [&fact](const Fact& other) {
    return other.person == fact.person && other.field == fact.field;
  };
  facts_.erase(std::remove_if(facts_.begin(), facts_.end(), same), facts_.end());
  facts_.push_back(fact);
}

void Talk::AskBack(std::size_t latest) {
  METIER_CHECK(!facts_.empty(), "nothing was told");
  const std::size_t among = latest == 0 ? facts_.size() : std::min(latest, facts_.size());
  const Fact& fact = facts_[facts_.size() - 1 - scene_.rng().Below(among)];
  Say("user", Phrase("chat/ask", fact));
  Say("assistant", Phrase("chat/answer", fact));
}

std::string Talk::Phrase(std::string_view section) { return Phrase(section, scene_.Draw()); }

std::string Talk::Phrase(std::string_view section, const Slots& slots) {
  return PhraseBook::Ours().Pick(section, scene_.split(), slots, scene_.rng()).Text();
}

std::string Talk::Phrase(std::string_view section, const Fact& fact) {
  Slots slots = scene_.Draw();
  slots["field"] = fact.field->words;
  slots["person"] = fact.person;
  slots["value"] = fact.value;
  return Phrase(section, slots);
}

}  // namespace metier::retail
