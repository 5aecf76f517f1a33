#include "merge/compatible.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <set>
#include <string_view>
#include <tuple>
#include <utility>

#include "base/check.h"
#include "base/json.h"
#include "model/spec_json.h"

namespace metier::merge {
namespace {

Error Mismatch(std::string message) {
  return Error(ErrorCode::kInvalidArgument, std::move(message));
}

// "" where there is no such token.
std::string_view NameOf(const text::Tokenizer& tokenizer, std::int64_t id) {
  const bool there = id >= 0 && id < tokenizer.vocab_size();
  return there ? tokenizer.TokenName(static_cast<text::TokenId>(id)) : std::string_view();
}

std::string SpellingOf(const text::Tokenizer& tokenizer, std::int64_t id) {
  const std::string_view name = NameOf(tokenizer, id);
  return name.empty() ? "nothing" : fmt::format("'{}'", name);
}

// "eos is '</s>' in 'a', '<|im_end|>' in 'b'", one for each role that differs.
std::vector<std::string> RolesThatDiffer(const std::string& name, const text::Tokenizer& tokenizer,
                                         const std::string& other_name,
                                         const text::Tokenizer& other) {
  const auto& mine = tokenizer.special();
  const auto& theirs = other.special();
  const std::tuple<const char*, text::TokenId, text::TokenId> roles[] = {
      {"bos", mine.bos, theirs.bos},
      {"eos", mine.eos, theirs.eos},
      {"pad", mine.pad, theirs.pad},
      {"unk", mine.unk, theirs.unk}};
  std::vector<std::string> notes;
  for (const auto& [role, id, other_id] : roles) {
    if (id == other_id) continue;
    notes.push_back(fmt::format(
        "the {} token is {} in '{}' and {} in '{}'; the result has the "
        "former",
        role, SpellingOf(tokenizer, id), name, SpellingOf(other, other_id), other_name));
  }
  return notes;
}

}  // namespace

Status CheckSameNetwork(const std::string& name, const model::ModelSpec& spec,
                        const std::string& other_name, const model::ModelSpec& other) {
  std::set<std::string> apart = {"layers", "layer", "tied_head"};
  if (spec.position != model::PositionKind::kLearned) apart.insert("max_positions");
  const Json fields = model::SpecToJson(spec);
  const Json others = model::SpecToJson(other);
  for (const auto& [key, value] : fields.items()) {
    if (apart.contains(key) || value == others[key]) continue;
    return Mismatch(fmt::format("'{}' and '{}' are not of one base: {} is {} and {}", name,
                                other_name, key, DumpCompact(value), DumpCompact(others[key])));
  }
  return Ok();
}

Status CheckSameTokens(const std::string& name, const text::Tokenizer& tokenizer,
                       const std::string& other_name, const text::Tokenizer& other) {
  constexpr std::size_t kShown = 5;
  std::vector<std::string> shown;
  std::int64_t count = 0;
  const std::int64_t ids = std::max(tokenizer.vocab_size(), other.vocab_size());
  for (std::int64_t id = 0; id < ids; ++id) {
    if (NameOf(tokenizer, id) == NameOf(other, id)) continue;
    ++count;
    if (shown.size() == kShown) continue;
    shown.push_back(
        fmt::format("{} is {} and {}", id, SpellingOf(tokenizer, id), SpellingOf(other, id)));
  }
  if (count == 0) return Ok();
  return Mismatch(
      fmt::format("'{}' and '{}' have other vocabularies: {} tokens differ ({}{}); "
                  "merge models of one vocabulary",
                  name, other_name, count, fmt::join(shown, "; "),
                  count > static_cast<std::int64_t>(kShown) ? "; ..." : ""));
}

Result<std::vector<std::string>> CheckCompatible(const std::vector<std::string>& order,
                                                 const SourceModels& models,
                                                 const std::string& tokenizer_source) {
  METIER_CHECK(!order.empty(), "models to compare");
  const auto of = [&models](const std::string& name) -> const SourceModel& {
    const auto found = models.find(name);
    METIER_CHECK(found != models.end(), "a model that was opened");
    return found->second;
  };
  for (const std::string& name : order)
    METIER_TRY(CheckSameNetwork(order.front(), of(order.front()).spec, name, of(name).spec));

  std::optional<text::Tokenizer> chosen;
  if (models.contains(tokenizer_source)) {
    chosen = of(tokenizer_source).tokenizer;
  } else {
    METIER_ASSIGN(chosen, FindTokenizer(tokenizer_source));
    if (!chosen)
      return Mismatch(fmt::format("tokenizer_source: '{}' has no tokenizer", tokenizer_source));
  }
  std::vector<std::string> without;
  for (const std::string& name : order) {
    if (!of(name).tokenizer) without.push_back(name);
  }
  if (without.size() == order.size() && !chosen) return std::vector<std::string>();
  if (!without.empty() || !chosen) {
    return Mismatch(
        fmt::format("'{}' has no tokenizer, others have one: whether its tokens are "
                    "theirs cannot be seen; put its tokenizer files beside its weights",
                    without.empty() ? tokenizer_source : without.front()));
  }
  std::vector<std::string> notes;
  for (const std::string& name : order) {
    METIER_TRY(CheckSameTokens(tokenizer_source, *chosen, name, *of(name).tokenizer));
    for (std::string& note : RolesThatDiffer(tokenizer_source, *chosen, name, *of(name).tokenizer))
      notes.push_back(std::move(note));
  }
  return notes;
}

}  // namespace metier::merge
