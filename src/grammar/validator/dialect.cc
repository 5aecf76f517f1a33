#include "grammar/validator/dialect.h"

#include <fmt/format.h>

#include <array>
#include <string>

#include "base/utf8.h"

namespace metier::grammar::validator {
namespace {

struct DraftRow {
  std::string_view uri;  // behind the scheme: older schemas say https where the draft says http
  SchemaDraft draft;
};
constexpr std::array<DraftRow, 5> kDraftRows = {{
    {"//json-schema.org/draft/2020-12/schema", SchemaDraft::kDraft202012},
    {"//json-schema.org/draft/2019-09/schema", SchemaDraft::kDraft201909},
    {"//json-schema.org/draft-07/schema", SchemaDraft::kDraft07},
    {"//json-schema.org/draft-06/schema", SchemaDraft::kDraft06},
    {"//json-schema.org/draft-04/schema", SchemaDraft::kDraft04},
}};

constexpr std::uint8_t kNoKeywords = 0;
constexpr std::uint8_t Bit(Vocabulary vocabulary) { return static_cast<std::uint8_t>(vocabulary); }

struct VocabularyRow {
  std::string_view name;
  std::uint8_t keywords;
  // Formats are asserted: where the vocabulary is declared at all, or where it is required.
  bool asserts_declared = false;
  bool asserts_required = false;
};
constexpr std::array<VocabularyRow, 15> kVocabularyRows = {{
    {"2020-12/vocab/core", Bit(Vocabulary::kCore)},
    {"2020-12/vocab/applicator", Bit(Vocabulary::kApplicator)},
    {"2020-12/vocab/unevaluated", Bit(Vocabulary::kUnevaluated)},
    {"2020-12/vocab/validation", Bit(Vocabulary::kValidation)},
    {"2020-12/vocab/meta-data", kNoKeywords},
    {"2020-12/vocab/content", kNoKeywords},
    {"2020-12/vocab/format-annotation", Bit(Vocabulary::kFormat)},
    {"2020-12/vocab/format-assertion", Bit(Vocabulary::kFormat), true, true},
    {"2019-09/vocab/core", Bit(Vocabulary::kCore)},
    {"2019-09/vocab/applicator", Bit(Vocabulary::kApplicator) | Bit(Vocabulary::kUnevaluated)},
    {"2019-09/vocab/validation", Bit(Vocabulary::kValidation)},
    {"2019-09/vocab/meta-data", kNoKeywords},
    {"2019-09/vocab/content", kNoKeywords},
    {"2019-09/vocab/format", Bit(Vocabulary::kFormat), false, true},
    {"2019-09/vocab/hyper-schema", kNoKeywords},
}};
constexpr std::string_view kVocabularyFolder = "https://json-schema.org/draft/";

const VocabularyRow* FindVocabulary(std::string_view uri) {
  if (!uri.starts_with(kVocabularyFolder)) return nullptr;
  uri.remove_prefix(kVocabularyFolder.size());
  for (const VocabularyRow& row : kVocabularyRows) {
    if (row.name == uri) return &row;
  }
  return nullptr;
}

}  // namespace

std::optional<SchemaDraft> DraftFromUri(std::string_view uri) {
  const std::size_t colon = uri.find(':');
  const std::string_view scheme = uri.substr(0, colon);
  if (colon == std::string_view::npos || (scheme != "http" && scheme != "https")) {
    return std::nullopt;
  }
  for (const DraftRow& row : kDraftRows) {
    if (uri.substr(colon + 1) == row.uri) return row.draft;
  }
  return std::nullopt;
}

Result<Dialect> DialectFromMetaschema(const Json& metaschema, const Dialect& own) {
  if (!metaschema.is_object()) {
    return Error(ErrorCode::kInvalidArgument, "found no object, expected a metaschema");
  }
  Dialect dialect = own;
  if (own.draft < SchemaDraft::kDraft201909) return dialect;
  const auto declared = metaschema.find("$vocabulary");
  if (declared == metaschema.end()) return dialect;
  if (!declared->is_object()) {
    return Error(ErrorCode::kInvalidArgument, "$vocabulary is no object");
  }
  dialect.vocabularies = Bit(Vocabulary::kCore);
  dialect.assert_formats = false;
  for (const auto& [uri, required] : declared->get_ref<const Json::object_t&>()) {
    if (!required.is_boolean()) {
      return Error(ErrorCode::kInvalidArgument,
                   fmt::format("$vocabulary '{}': expected true or false", Excerpt(uri)));
    }
    const VocabularyRow* row = FindVocabulary(uri);
    if (row == nullptr) {
      if (!required.get<bool>()) continue;
      return Error(ErrorCode::kUnsupported,
                   fmt::format("requires the vocabulary '{}', which is not among those known here "
                               "(those of 2020-12 and 2019-09)",
                               Excerpt(uri)));
    }
    dialect.vocabularies |= row->keywords;
    dialect.assert_formats |= required.get<bool>() ? row->asserts_required : row->asserts_declared;
  }
  return dialect;
}

}  // namespace metier::grammar::validator
