#include "grammar/validator/keywords.h"

#include <algorithm>
#include <array>

#include "grammar/validator/build_rules.h"
#include "grammar/validator/json_value.h"

namespace metier::grammar::validator {
namespace {

using enum SchemaDraft;
using enum Vocabulary;
using enum Shape;

// Sorted by name; the rows of one name do not overlap. `dependencies` and `definitions` are kept in
// the later drafts, as these suggest for compatibility. Not here: $id, anchors and $schema, which
// name schemas (documents.cc), and what only annotates.
constexpr std::array kKeywordRows = {
    KeywordRow{"$defs", kDraft201909, kDraft202012, kCore, kSchemasByName, &BuildDefinitions},
    KeywordRow{"$dynamicRef", kDraft202012, kDraft202012, kCore, kPlain, &BuildDynamicRef},
    KeywordRow{"$recursiveRef", kDraft201909, kDraft201909, kCore, kPlain, &BuildRecursiveRef},
    KeywordRow{"$ref", kDraft04, kDraft202012, kCore, kPlain, &BuildRef},
    KeywordRow{"additionalItems", kDraft04, kDraft201909, kApplicator, kSchema,
               &BuildAdditionalItems},
    KeywordRow{"additionalProperties", kDraft04, kDraft202012, kApplicator, kSchema,
               &BuildAdditionalProperties},
    KeywordRow{"allOf", kDraft04, kDraft202012, kApplicator, kSchemas, &BuildAllOf},
    KeywordRow{"anyOf", kDraft04, kDraft202012, kApplicator, kSchemas, &BuildAnyOf},
    KeywordRow{"const", kDraft06, kDraft202012, kValidation, kPlain, &BuildConst},
    KeywordRow{"contains", kDraft06, kDraft202012, kApplicator, kSchema, &BuildContains},
    KeywordRow{"definitions", kDraft04, kDraft202012, kCore, kSchemasByName, &BuildDefinitions},
    KeywordRow{"dependencies", kDraft04, kDraft202012, kApplicator, kDependencies,
               &BuildDependencies},
    KeywordRow{"dependentRequired", kDraft201909, kDraft202012, kValidation, kPlain,
               &BuildDependentRequired},
    KeywordRow{"dependentSchemas", kDraft201909, kDraft202012, kApplicator, kSchemasByName,
               &BuildDependentSchemas},
    KeywordRow{"else", kDraft07, kDraft202012, kApplicator, kSchema, &BuildElse},
    KeywordRow{"enum", kDraft04, kDraft202012, kValidation, kPlain, &BuildEnum},
    KeywordRow{"exclusiveMaximum", kDraft04, kDraft04, kValidation, kPlain, &BuildExclusiveSwitch},
    KeywordRow{"exclusiveMaximum", kDraft06, kDraft202012, kValidation, kPlain,
               &BuildExclusiveMaximum},
    KeywordRow{"exclusiveMinimum", kDraft04, kDraft04, kValidation, kPlain, &BuildExclusiveSwitch},
    KeywordRow{"exclusiveMinimum", kDraft06, kDraft202012, kValidation, kPlain,
               &BuildExclusiveMinimum},
    KeywordRow{"format", kDraft04, kDraft202012, kFormat, kPlain, &BuildFormat},
    KeywordRow{"if", kDraft07, kDraft202012, kApplicator, kSchema, &BuildIf},
    KeywordRow{"items", kDraft04, kDraft201909, kApplicator, kOneOrMore, &BuildItemsOrTuple},
    KeywordRow{"items", kDraft202012, kDraft202012, kApplicator, kSchema, &BuildItems},
    KeywordRow{"maxContains", kDraft201909, kDraft202012, kValidation, kPlain, &BuildMaxContains},
    KeywordRow{"maxItems", kDraft04, kDraft202012, kValidation, kPlain, &BuildMaxItems},
    KeywordRow{"maxLength", kDraft04, kDraft202012, kValidation, kPlain, &BuildMaxLength},
    KeywordRow{"maxProperties", kDraft04, kDraft202012, kValidation, kPlain, &BuildMaxProperties},
    KeywordRow{"maximum", kDraft04, kDraft202012, kValidation, kPlain, &BuildMaximum},
    KeywordRow{"minContains", kDraft201909, kDraft202012, kValidation, kPlain, &BuildMinContains},
    KeywordRow{"minItems", kDraft04, kDraft202012, kValidation, kPlain, &BuildMinItems},
    KeywordRow{"minLength", kDraft04, kDraft202012, kValidation, kPlain, &BuildMinLength},
    KeywordRow{"minProperties", kDraft04, kDraft202012, kValidation, kPlain, &BuildMinProperties},
    KeywordRow{"minimum", kDraft04, kDraft202012, kValidation, kPlain, &BuildMinimum},
    KeywordRow{"multipleOf", kDraft04, kDraft202012, kValidation, kPlain, &BuildMultipleOf},
    KeywordRow{"not", kDraft04, kDraft202012, kApplicator, kSchema, &BuildNot},
    KeywordRow{"oneOf", kDraft04, kDraft202012, kApplicator, kSchemas, &BuildOneOf},
    KeywordRow{"pattern", kDraft04, kDraft202012, kValidation, kPlain, &BuildPattern},
    KeywordRow{"patternProperties", kDraft04, kDraft202012, kApplicator, kSchemasByName,
               &BuildPatternProperties},
    KeywordRow{"prefixItems", kDraft202012, kDraft202012, kApplicator, kSchemas, &BuildPrefixItems},
    KeywordRow{"properties", kDraft04, kDraft202012, kApplicator, kSchemasByName, &BuildProperties},
    KeywordRow{"propertyNames", kDraft06, kDraft202012, kApplicator, kSchema, &BuildPropertyNames},
    KeywordRow{"required", kDraft04, kDraft202012, kValidation, kPlain, &BuildRequired},
    KeywordRow{"then", kDraft07, kDraft202012, kApplicator, kSchema, &BuildThen},
    KeywordRow{"type", kDraft04, kDraft202012, kValidation, kPlain, &BuildType},
    KeywordRow{"unevaluatedItems", kDraft201909, kDraft202012, kUnevaluated, kSchema,
               &BuildUnevaluatedItems},
    KeywordRow{"unevaluatedProperties", kDraft201909, kDraft202012, kUnevaluated, kSchema,
               &BuildUnevaluatedProperties},
    KeywordRow{"uniqueItems", kDraft04, kDraft202012, kValidation, kPlain, &BuildUniqueItems},
};

constexpr bool ByName(const KeywordRow& a, const KeywordRow& b) { return a.name < b.name; }
static_assert(std::is_sorted(kKeywordRows.begin(), kKeywordRows.end(), ByName));

}  // namespace

const KeywordRow* FindKeyword(std::string_view name, const Dialect& dialect) {
  const auto* row =
      std::lower_bound(kKeywordRows.begin(), kKeywordRows.end(), name,
                       [](const KeywordRow& a, std::string_view b) { return a.name < b; });
  for (; row != kKeywordRows.end() && row->name == name; ++row) {
    if (row->first <= dialect.draft && dialect.draft <= row->last) {
      return dialect.Has(row->vocabulary) ? row : nullptr;
    }
  }
  return nullptr;
}

void VisitSchemas(Shape shape, const Json& value,
                  FunctionRef<void(const Json& schema, const std::string& place)> visit) {
  const auto is_schema = [](const Json& json) { return json.is_object() || json.is_boolean(); };
  if (shape == kPlain) return;
  if (value.is_array() && (shape == kSchemas || shape == kOneOrMore)) {
    for (std::size_t i = 0; i < value.size(); ++i) {
      if (is_schema(value[i])) visit(value[i], "/" + std::to_string(i));
    }
    return;
  }
  if (shape == kSchema || shape == kOneOrMore) {
    if (is_schema(value)) visit(value, "");
    return;
  }
  if (!value.is_object()) return;
  for (const auto& [name, schema] : value.get_ref<const Json::object_t&>()) {
    if (is_schema(schema)) visit(schema, PointerStep(name));
  }
}

}  // namespace metier::grammar::validator
