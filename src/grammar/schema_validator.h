// grammar/schema_validator.h - JSON Schema: does a document fit a schema, and if not, where and
// why.
//
// Drafts 2020-12 and 07 with every keyword; 2019-09, 06 and 04 as the nearest of the two with their
// own keywords. `content*` only annotates, `format` does unless told otherwise. The standard
// metaschemas of 2020-12 and 07 are known; nothing is ever fetched.
//
//   METIER_ASSIGN(const SchemaValidator validator, SchemaValidator::Compile(schema));
//   METIER_TRY(validator.Validate(arguments));  // "'/age': found "9", expected integer (...)"
//
// Non-goals: guessing what an ill-formed schema meant (it is refused at Compile), collecting
// annotations for callers, downloading documents.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/limits.h"
#include "base/result.h"

namespace metier::grammar {

namespace validator {
struct Program;
}

enum class SchemaDraft { kDraft04, kDraft06, kDraft07, kDraft201909, kDraft202012 };

// What `format` does. The drafts say: annotate, unless the schema's metaschema declares the
// vocabulary format-assertion, which is obeyed either way.
enum class SchemaFormats { kAnnotate, kAssert };

struct SchemaOptions {
  // Where a document has no $schema. A document reached by $ref takes that of the one that refers.
  SchemaDraft default_draft = SchemaDraft::kDraft202012;
  SchemaFormats formats = SchemaFormats::kAnnotate;
  // Where the schema was found; relative references of a schema without $id start here.
  std::string base_uri;
  // What $ref and $schema may lead to, by the absolute URI that they name (without a fragment).
  std::map<std::string, Json> documents;
  // max_json_depth bounds schemas and instances; the rest is the reader's business.
  Limits limits;
  // Schemas applied and patterns run for one instance: what a schema that multiplies its own work
  // may cost before it is given up. About 50 ns each, patterns apart.
  std::uint64_t max_steps = 50'000'000;
};

// One keyword that an instance does not satisfy.
struct SchemaViolation {
  std::string instance_path;  // JSON pointer of the value; "" is the whole document
  std::string schema_path;    // URI of the schema and JSON pointer of the keyword: "#/items/type"
  std::string found;          // in words, shortened: "an array of 3 items"
  std::string expected;       // in words: "at most 2 items"

  // "'/tags': found an array of 3 items, expected at most 2 items (schema
  // #/properties/tags/maxItems)"
  std::string Text() const;
};

// A compiled schema. Copies are cheap and share it.
// Threads: nothing changes after Compile; any number may validate at once.
class SchemaValidator {
 public:
  // Copies what it needs of the schema and the documents. Unused parts of the schema are compiled,
  // and judged, like the rest.
  // kInvalidArgument: a keyword's value is not what the draft allows, a pattern that is no regular
  // expression, two schemas with one name, references that lead in a circle without reading any of
  // the instance; with the schema's place.
  // kNotFound: a $ref that leads nowhere, by name.
  // kUnsupported: an unknown $schema, a vocabulary that is required and unknown, a pattern that
  // cannot be run (look-behind of varying length).
  // kResourceExhausted: nested deeper than limits.max_json_depth, a pattern too large.
  static Result<SchemaValidator> Compile(const Json& schema, const SchemaOptions& options = {});

  // kDataCorrupt: the first violation, as text. kResourceExhausted: gave up, and why: too deep, too
  // many steps, a pattern that backtracks without end. The instance is borrowed for the call.
  Status Validate(const Json& instance) const;

  // The bare answer, the cheapest of the three: stops at the first failure and says nothing.
  // kResourceExhausted: as above.
  Result<bool> Accepts(const Json& instance) const;

  // At most `limit` violations; none when the instance is valid. Of anyOf and oneOf the choice is
  // reported as one. kResourceExhausted: as above. kInvalidArgument: a limit of 0.
  Result<std::vector<SchemaViolation>> Violations(const Json& instance, std::size_t limit) const;

 private:
  explicit SchemaValidator(std::shared_ptr<const validator::Program> program);

  std::shared_ptr<const validator::Program> program_;
};

}  // namespace metier::grammar
