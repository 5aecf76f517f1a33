// grammar/token_masks.h - which tokens a grammar lets come, for each configuration.
//
// A mask is worked out once for each configuration that looks different from near (as far as a
// token reaches): by a walk through the vocabulary that follows the grammar's bytes, and inside of
// strings by the vocabulary's own mask for them (any_string_tokens.h). It is kept as what differs
// from that one.
//
// Threads: one.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "grammar/any_string_tokens.h"
#include "grammar/configurations.h"
#include "grammar/machine.h"
#include "grammar/vocabulary_trie.h"

namespace metier::grammar {

class TokenMasks {
 public:
  // Borrows all.
  TokenMasks(const Machine& machine, Configurations& configurations, const VocabularyTrie& trie,
             const AnyStringTokens& texts, const AnyStringTokens& names)
      : machine_(machine),
        configurations_(configurations),
        trie_(trie),
        texts_(texts),
        names_(names) {}

  // Bit id % 64 of word id / 64 for each token; words: (vocab + 63) / 64. What ends a text is the
  // caller's (Configurations::Complete).
  void Fill(Configurations::Id id, std::span<std::uint64_t> mask);

 private:
  struct Entry {
    std::span<const std::uint64_t> base;  // none: nothing
    std::vector<TokenId> more;
    std::vector<std::uint64_t> words;  // instead of both, where there are many
  };
  // What a frame lets come, whatever is below it.
  struct Alone {
    std::vector<std::uint64_t> words;   // tokens that stay on top of it
    std::vector<std::int32_t> leaving;  // nodes of the trie: what begins so has left it before
    std::int32_t deepest = 0;           // how much room that took
  };
  Entry Compute(Configurations::Id near);
  // None: too many are known.
  const Alone* AloneOf(const Frame& frame);
  // Adds what elements let come whose frames are known by themselves; returns the others.
  std::vector<Configurations::Element> AddAlone(std::vector<Configurations::Element> elements,
                                                Entry& entry);
  // Tokens of a trie that lead somewhere from here.
  void Walk(const VocabularyTrie& trie, Configurations::Id from, std::vector<TokenId>& tokens);
  // Those of them that are below one of the nodes, which are in the trie's order.
  void WalkBelow(std::span<const std::int32_t> nodes, Configurations::Id from,
                 std::vector<TokenId>& tokens);
  // The tokens that end at a node of a trie.
  static void AddTokens(const VocabularyTrie& trie, const VocabularyTrie::Node& node,
                        std::vector<TokenId>& tokens);

  const Machine& machine_;
  Configurations& configurations_;
  const VocabularyTrie& trie_;
  const AnyStringTokens& texts_;  // of AnyStringContent
  const AnyStringTokens& names_;  // of AnyNameContent
  std::unordered_map<Configurations::Id, Entry> entries_;
  std::unordered_map<Configurations::Id, Alone> alone_;
  std::vector<Configurations::Id> path_;
};

}  // namespace metier::grammar
