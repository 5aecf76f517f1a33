// grammar/grammar.h - constrained text, as those who sample see it: a Grammar says what may be
// written, a TokenGrammar says it in the tokens of one vocabulary, a Matcher follows one text.
//
//   METIER_ASSIGN(const Grammar grammar, Grammar::OfSchema(schema));  // or OfGbnf, OfLark, OfRegex
//   TokenGrammar tokens(grammar, vocabulary);         // shared by all texts of this grammar
//   Matcher matcher(tokens);                          // of one text
//   matcher.FillMask(mask);  ...sample a token...  matcher.Accept(token);
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "grammar/any_string_tokens.h"
#include "grammar/cfg/cfg.h"
#include "grammar/configurations.h"
#include "grammar/json/json_machine.h"
#include "grammar/json/shapes.h"
#include "grammar/machine.h"
#include "grammar/schema/compiler.h"
#include "grammar/token_masks.h"
#include "grammar/vocabulary_trie.h"

namespace metier::grammar {

// What may be written. Threads: immutable; copies share.
class Grammar {
 public:
  // JSON that is valid by a schema. Errors: CompileSchema.
  static Result<Grammar> OfSchema(const Json& schema, const JsonStyle& style = {},
                                  const SchemaLimits& limits = {});

  // Texts that are what a regular expression (regex/pattern.h) says, from their first character to
  // the last. Errors: ParsePattern, CompileRules.
  static Result<Grammar> OfRegex(std::string_view pattern, const CfgLimits& limits = {});
  // Errors: ParseGbnf, CompileRules.
  static Result<Grammar> OfGbnf(std::string_view text, const CfgLimits& limits = {});
  // Errors: ParseLark, CompileRules.
  static Result<Grammar> OfLark(std::string_view text, const CfgLimits& limits = {});

  // A machine of its texts. It borrows from what copies of this share.
  std::unique_ptr<Machine> NewMachine() const;

  // Of a schema's grammar; null of any other.
  const Shapes* shapes() const;
  // Of any other; null of a schema's.
  const Cfg* cfg() const;

  // Of a text: whether it is one of the grammar's, and how many of its first bytes begin one.
  struct Verdict {
    bool accepted = false;
    std::size_t bytes = 0;
  };
  // Cost: a few steps a byte.
  Verdict Judge(std::string_view text) const;
  bool Accepts(std::string_view text) const { return Judge(text).accepted; }

 private:
  struct JsonForm {
    std::shared_ptr<const Shapes> shapes;
    JsonStyle style;
  };
  using CfgForm = std::shared_ptr<const Cfg>;

  explicit Grammar(std::variant<JsonForm, CfgForm> form) : form_(std::move(form)) {}
  static Result<Grammar> OfRules(const RuleSet& rules, const CfgLimits& limits);

  std::variant<JsonForm, CfgForm> form_;
};

// A vocabulary as masks need it; made once. Threads: immutable, or guarded.
class MaskVocabulary {
 public:
  explicit MaskVocabulary(VocabularyTrie trie)
      : trie_(std::move(trie)),
        texts_(trie_, AnyStringContent()),
        names_(trie_, AnyNameContent()) {}
  MaskVocabulary(const MaskVocabulary&) = delete;
  MaskVocabulary& operator=(const MaskVocabulary&) = delete;

  const VocabularyTrie& trie() const { return trie_; }
  const AnyStringTokens& texts() const { return texts_; }
  const AnyStringTokens& names() const { return names_; }
  std::size_t mask_words() const { return static_cast<std::size_t>((trie_.vocab() + 63) / 64); }

 private:
  VocabularyTrie trie_;
  AnyStringTokens texts_;
  AnyStringTokens names_;
};

// A grammar over a vocabulary, with what was worked out so far. Threads: any.
class TokenGrammar {
 public:
  // What was worked out is forgotten when it is about this many configurations.
  static constexpr std::size_t kMostKept = 1 << 16;

  // Keeps the vocabulary.
  TokenGrammar(const Grammar& grammar, std::shared_ptr<const MaskVocabulary> vocabulary,
               std::size_t most_kept = kMostKept)
      : grammar_(grammar), vocabulary_(std::move(vocabulary)), most_kept_(most_kept) {}

  const MaskVocabulary& vocabulary() const { return *vocabulary_; }

 private:
  friend class Matcher;
  struct Kept {
    Kept(const Grammar& grammar_in, std::shared_ptr<const MaskVocabulary> vocabulary_in);
    std::size_t Size();

    Grammar grammar;
    std::shared_ptr<const MaskVocabulary> vocabulary;
    std::mutex mutex;  // of all below
    std::unique_ptr<Machine> machine;
    Configurations configurations;
    TokenMasks masks;
  };
  // What is kept, or something new where that has become too much.
  std::shared_ptr<Kept> Current();

  Grammar grammar_;
  std::shared_ptr<const MaskVocabulary> vocabulary_;
  std::size_t most_kept_;
  std::mutex mutex_;
  std::shared_ptr<Kept> kept_;
};

// One text. Threads: one.
class Matcher {
 public:
  // Borrows the grammar.
  explicit Matcher(TokenGrammar& grammar);

  // Bit id % 64 of word id / 64 for each token that may come. While the text is not complete there
  // is at least one, if the vocabulary has all bytes. Requires vocabulary().mask_words() words.
  void FillMask(std::span<std::uint64_t> mask);
  // False, and nothing changed: the token cannot come.
  bool Accept(TokenId token);
  // Takes back the last tokens. Requires that there are as many.
  void Rollback(std::size_t tokens);
  std::size_t tokens() const { return path_.size() - 1; }

  // Whether the text may end here; whether it must.
  bool Complete() const;
  bool Ends() const;
  // The bytes that come next whatever is sampled, at most `most`.
  std::string Forced(std::size_t most = 256) const;

 private:
  // Goes over to what is kept now, by the way that the text took.
  void Follow();

  TokenGrammar& grammar_;
  std::shared_ptr<TokenGrammar::Kept> kept_;
  std::vector<Configurations::Id> path_;  // behind each token
  std::vector<TokenId> tokens_;
};

}  // namespace metier::grammar
