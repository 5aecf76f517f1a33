#include "grammar/grammar.h"

#include <fmt/format.h>

#include <utility>

#include "base/check.h"
#include "grammar/cfg/cfg_machine.h"
#include "grammar/ebnf/gbnf.h"
#include "grammar/ebnf/lark.h"
#include "grammar/regex/pattern.h"

namespace metier::grammar {
namespace {

Configurations::Id Behind(Configurations& configurations, Configurations::Id id,
                          std::string_view bytes) {
  for (const char byte : bytes) {
    if (id == Configurations::kNone) return id;
    id = configurations.Next(id, static_cast<std::uint8_t>(byte));
  }
  return id;
}

}  // namespace

Result<Grammar> Grammar::OfSchema(const Json& schema, const JsonStyle& style,
                                  const SchemaLimits& limits) {
  METIER_ASSIGN(Shapes shapes, CompileSchema(schema, limits));
  return Grammar(JsonForm{std::make_shared<const Shapes>(std::move(shapes)), style});
}

Result<Grammar> Grammar::OfRules(const RuleSet& rules, const CfgLimits& limits) {
  METIER_ASSIGN(Cfg cfg, CompileRules(rules, limits));
  return Grammar(std::make_shared<const Cfg>(std::move(cfg)));
}

Result<Grammar> Grammar::OfRegex(std::string_view pattern, const CfgLimits& limits) {
  if (pattern.size() > limits.max_text_bytes) {
    return Error(ErrorCode::kResourceExhausted,
                 fmt::format("regular expression: {} bytes, the limit is {}", pattern.size(),
                             limits.max_text_bytes));
  }
  METIER_ASSIGN(const Pattern parsed, ParsePattern(pattern));
  RuleSet rules;
  METIER_ASSIGN(RuleBody body, WholePattern(parsed, limits.automaton));
  rules.rules.push_back({"regular expression", std::move(body)});
  return OfRules(rules, limits);
}

Result<Grammar> Grammar::OfGbnf(std::string_view text, const CfgLimits& limits) {
  METIER_ASSIGN(const RuleSet rules, ParseGbnf(text, limits));
  return OfRules(rules, limits);
}

Result<Grammar> Grammar::OfLark(std::string_view text, const CfgLimits& limits) {
  METIER_ASSIGN(const RuleSet rules, ParseLark(text, limits));
  return OfRules(rules, limits);
}

std::unique_ptr<Machine> Grammar::NewMachine() const {
  if (const JsonForm* json = std::get_if<JsonForm>(&form_))
    return std::make_unique<JsonMachine>(*json->shapes, json->style);
  return std::make_unique<CfgMachine>(*cfg());
}

const Shapes* Grammar::shapes() const {
  const JsonForm* json = std::get_if<JsonForm>(&form_);
  return json == nullptr ? nullptr : json->shapes.get();
}

const Cfg* Grammar::cfg() const {
  const CfgForm* cfg = std::get_if<CfgForm>(&form_);
  return cfg == nullptr ? nullptr : cfg->get();
}

Grammar::Verdict Grammar::Judge(std::string_view text) const {
  const std::unique_ptr<Machine> machine = NewMachine();
  Configurations configurations(*machine);
  Configurations::Id at = configurations.start();
  for (std::size_t i = 0; i < text.size(); ++i) {
    at = configurations.Next(at, static_cast<std::uint8_t>(text[i]));
    if (at == Configurations::kNone) return {false, i};
  }
  return {configurations.Complete(at), text.size()};
}

TokenGrammar::Kept::Kept(const Grammar& grammar_in,
                         std::shared_ptr<const MaskVocabulary> vocabulary_in)
    : grammar(grammar_in),
      vocabulary(std::move(vocabulary_in)),
      machine(grammar.NewMachine()),
      configurations(*machine),
      masks(*machine, configurations, vocabulary->trie(), vocabulary->texts(),
            vocabulary->names()) {}

std::size_t TokenGrammar::Kept::Size() {
  const std::lock_guard lock(mutex);
  return configurations.size();
}

std::shared_ptr<TokenGrammar::Kept> TokenGrammar::Current() {
  const std::lock_guard lock(mutex_);
  if (kept_ == nullptr || kept_->Size() > most_kept_)
    kept_ = std::make_shared<Kept>(grammar_, vocabulary_);
  return kept_;
}

Matcher::Matcher(TokenGrammar& grammar) : grammar_(grammar), kept_(grammar.Current()) {
  path_.push_back(kept_->configurations.start());
}

void Matcher::Follow() {
  std::shared_ptr<TokenGrammar::Kept> now = grammar_.Current();
  if (now == kept_) return;
  kept_ = std::move(now);
  const std::lock_guard lock(kept_->mutex);
  path_.resize(1);
  path_.front() = kept_->configurations.start();
  for (const TokenId token : tokens_) {
    path_.push_back(
        Behind(kept_->configurations, path_.back(), kept_->vocabulary->trie().BytesOf(token)));
  }
}

void Matcher::FillMask(std::span<std::uint64_t> mask) {
  METIER_CHECK(mask.size() == kept_->vocabulary->mask_words(), "a bit for each token");
  Follow();
  const std::lock_guard lock(kept_->mutex);
  kept_->masks.Fill(path_.back(), mask);
}

bool Matcher::Accept(TokenId token) {
  const VocabularyTrie& trie = kept_->vocabulary->trie();
  if (token < 0 || token >= trie.vocab()) return false;
  const std::string_view bytes = trie.BytesOf(token);
  if (bytes.empty()) return false;
  const std::lock_guard lock(kept_->mutex);
  const Configurations::Id next = Behind(kept_->configurations, path_.back(), bytes);
  if (next == Configurations::kNone) return false;
  path_.push_back(next);
  tokens_.push_back(token);
  return true;
}

void Matcher::Rollback(std::size_t tokens) {
  METIER_CHECK(tokens <= tokens_.size(), "as many tokens were accepted");
  path_.resize(path_.size() - tokens);
  tokens_.resize(tokens_.size() - tokens);
}

bool Matcher::Complete() const {
  const std::lock_guard lock(kept_->mutex);
  return kept_->configurations.Complete(path_.back());
}

bool Matcher::Ends() const {
  const std::lock_guard lock(kept_->mutex);
  return kept_->configurations.Ends(path_.back());
}

std::string Matcher::Forced(std::size_t most) const {
  const std::lock_guard lock(kept_->mutex);
  std::string bytes;
  Configurations::Id at = path_.back();
  while (bytes.size() < most && !kept_->configurations.Complete(at)) {
    int only = -1;
    bool several = false;
    for (int byte = 0; byte < 256 && !several; ++byte) {
      if (kept_->configurations.Next(at, static_cast<std::uint8_t>(byte)) == Configurations::kNone)
        continue;
      several = only >= 0;
      only = byte;
    }
    if (several || only < 0) break;
    bytes += static_cast<char>(only);
    at = kept_->configurations.Next(at, static_cast<std::uint8_t>(only));
  }
  return bytes;
}

}  // namespace metier::grammar
