#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/check.h"
#include "base/nearest.h"
#include "model/families/families.h"
#include "model/family.h"

namespace metier::model {
namespace {

constexpr std::array<const Family*, 15> kFamilies = {
    &kBert,
    &kBioGpt,
    &kBloom,
    &kGemma,
    &kGpt2,
    &kLlama,
    &kMetierExpertChoice,
    &kMetierExperts,
    &kMetierTaskExperts,
    &kMistral,
    &kMixtral,
    &kQwen2,
    &kQwen3,
    &kQwen3Moe,
    &kSmallThinker,
};

using NamesOf = std::span<const std::string_view> (*)(const Family& family);

// The family one of whose names this is; `what` says what kind of name for the error.
Result<const Family*> Find(std::string_view name, std::string_view what, NamesOf names_of) {
  std::vector<std::string> known;
  for (const Family* family : kFamilies) {
    for (const std::string_view candidate : names_of(*family)) {
      if (candidate == name) return family;
      known.emplace_back(candidate);
    }
  }
  std::string list;
  for (const std::string& candidate : known) list += " " + candidate;
  const std::string nearest = NearestName(name, known);
  return Error(
      ErrorCode::kUnsupported,
      fmt::format("{} '{}' is not one we know{}; known:{}", what, name,
                  nearest.empty() ? "" : fmt::format(" (did you mean '{}'?)", nearest), list));
}

}  // namespace

std::span<const Family* const> Families() { return kFamilies; }

Result<const Family*> FindFamilyByModelType(std::string_view model_type) {
  return Find(model_type, "model_type", [](const Family& family) { return family.hf_model_types; });
}

Result<const Family*> FindFamilyByGguf(std::string_view architecture) {
  return Find(architecture, "architecture",
              [](const Family& family) { return family.gguf_architectures; });
}

Result<const Family*> FindFamily(std::string_view name) {
  return Find(name, "family", [](const Family& family) {
    return std::span<const std::string_view>(&family.name, 1);
  });
}

std::vector<std::string> HuggingFaceNames(const ModelSpec& spec) {
  const auto family = FindFamily(spec.family);
  METIER_CHECK(family.ok(), "a spec whose family is not in the registry");
  std::vector<std::string> names;
  for (TensorRule& rule : (*family)->hf_rules(spec)) names.push_back(std::move(rule.theirs));
  return names;
}

}  // namespace metier::model
