// JSON Schema validator: any schema either compiles or says why not, any instance gets a verdict or
// an error, and the walk that explains agrees with the one that only answers.
//
// Input: a JSON array, the schema and then its instances.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "grammar/schema_validator.h"

namespace {

using metier::Json;
using metier::grammar::SchemaDraft;
using metier::grammar::SchemaFormats;
using metier::grammar::SchemaOptions;
using metier::grammar::SchemaValidator;

void Try(const Json& schema, const Json& documents, const SchemaOptions& options) {
  constexpr std::size_t kLongestMessage = 4000;
  const auto validator = SchemaValidator::Compile(schema, options);
  if (!validator.ok()) {
    METIER_CHECK(validator.error().message().size() < kLongestMessage, "messages stay short");
    return;
  }
  for (std::size_t i = 1; i < documents.size(); ++i) {
    const auto accepts = validator->Accepts(documents[i]);
    const auto violations = validator->Violations(documents[i], 3);
    if (!accepts.ok() || !violations.ok()) continue;  // gave up
    METIER_CHECK(violations->empty() == *accepts, "one verdict");
    METIER_CHECK(violations->size() <= 3, "no more than asked for");
    for (const auto& violation : *violations) {
      METIER_CHECK(violation.Text().size() < kLongestMessage, "messages stay short");
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto input = metier::ParseJson(text, {.max_json_depth = 64});
  if (!input.ok() || !input->is_array() || input->empty()) return 0;
  constexpr std::uint64_t kSteps = 20'000;
  const Json& schema = (*input)[0];
  Try(schema, *input, {.max_steps = kSteps});
  Try(schema, *input,
      {.default_draft = SchemaDraft::kDraft07,
       .formats = SchemaFormats::kAssert,
       .max_steps = kSteps});
  Try(schema, *input, {.default_draft = SchemaDraft::kDraft201909, .max_steps = kSteps});
  Try(schema, *input, {.default_draft = SchemaDraft::kDraft04, .max_steps = kSteps});
  return 0;
}
