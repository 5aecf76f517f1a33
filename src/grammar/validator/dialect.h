// grammar/validator/dialect.h - which keywords mean something: a schema's draft and vocabularies.
//
// A schema names its metaschema by $schema. A standard one fixes the draft; one of the user's own
// may, by $vocabulary, leave groups of keywords out: those then say nothing, like unknown ones.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "grammar/schema_validator.h"

namespace metier::grammar::validator {

// Groups of keywords that a metaschema of 2019-09 or later can leave out. Bits of a set.
enum class Vocabulary : std::uint8_t {
  kCore = 1,  // always there
  kApplicator = 2,
  kUnevaluated = 4,
  kValidation = 8,
  kFormat = 16,
};

// One per schema resource; copied freely.
struct Dialect {
  SchemaDraft draft = SchemaDraft::kDraft202012;
  std::uint8_t vocabularies = 31;
  bool assert_formats = false;  // the metaschema demands it, whatever the options say

  bool Has(Vocabulary vocabulary) const {
    return (vocabularies & static_cast<std::uint8_t>(vocabulary)) != 0;
  }
  // Up to draft 07 $ref stands for the whole schema: whatever is beside it is ignored.
  bool RefStandsAlone() const { return draft <= SchemaDraft::kDraft07; }
  // The keyword that names a schema.
  std::string_view IdKeyword() const { return draft == SchemaDraft::kDraft04 ? "id" : "$id"; }
};

// The draft whose standard metaschema has this URI (without a fragment).
std::optional<SchemaDraft> DraftFromUri(std::string_view uri);

// The dialect that `metaschema` defines by its $vocabulary, on top of that of its own $schema.
// kUnsupported: a vocabulary that it requires and we do not know. kInvalidArgument: not an object.
Result<Dialect> DialectFromMetaschema(const Json& metaschema, const Dialect& own);

}  // namespace metier::grammar::validator
