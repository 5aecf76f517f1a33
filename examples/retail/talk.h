// retail/talk.h - a chat of the base corpus in the making: its messages, and the facts that have
// been told in it and can be asked for later.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "retail/scene.h"

namespace metier::retail {

struct Fact {
  std::string person;
  const Field* field;
  std::string value;
};

class Talk {
 public:
  // Borrows the scene.
  explicit Talk(Scene& scene) : scene_(scene) {}

  void Say(std::string_view role, std::string content);
  // Of two values of one field of one person the later one holds.
  void Remember(const Fact& fact);
  // A question about a fact and its answer: one of the `latest` facts, or any when 0. At least one
  // fact must have been told.
  void AskBack(std::size_t latest);

  // A phrase of the corpus, its slots drawn new or given.
  std::string Phrase(std::string_view section);
  std::string Phrase(std::string_view section, const Slots& slots);
  std::string Phrase(std::string_view section, const Fact& fact);

  Scene& scene() { return scene_; }
  const Json& messages() const { return messages_; }
  std::size_t facts() const { return facts_.size(); }
  std::uint64_t tokens() const { return tokens_; }  // roughly, turns included

 private:
  Scene& scene_;
  Json messages_ = Json::array();  // [{"role", "content"}, ...]
  std::vector<Fact> facts_;        // the oldest first
  std::uint64_t tokens_ = 0;
};

}  // namespace metier::retail
