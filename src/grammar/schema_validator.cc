#include "grammar/schema_validator.h"

#include <fmt/format.h>

#include <utility>

#include "base/utf8.h"
#include "grammar/validator/evaluation.h"
#include "grammar/validator/program.h"
#include "grammar/validator/program_builder.h"

namespace metier::grammar {

std::string SchemaViolation::Text() const {
  constexpr std::size_t kPathBytes = 200;
  const std::string place = instance_path.empty()
                                ? "the document"
                                : fmt::format("'{}'", Excerpt(instance_path, kPathBytes));
  return fmt::format("{}: found {}, expected {} (schema {})", place, found, expected,
                     Excerpt(schema_path, kPathBytes));
}

SchemaValidator::SchemaValidator(std::shared_ptr<const validator::Program> program)
    : program_(std::move(program)) {}

Result<SchemaValidator> SchemaValidator::Compile(const Json& schema, const SchemaOptions& options) {
  METIER_ASSIGN(auto program, validator::BuildProgram(schema, options));
  return SchemaValidator(std::move(program));
}

Result<bool> SchemaValidator::Accepts(const Json& instance) const {
  return validator::Evaluation(*program_, 0).Run(instance);
}

Status SchemaValidator::Validate(const Json& instance) const {
  METIER_ASSIGN(const std::vector<SchemaViolation> violations, Violations(instance, 1));
  if (violations.empty()) return Ok();
  return Error(ErrorCode::kDataCorrupt, violations.front().Text());
}

Result<std::vector<SchemaViolation>> SchemaValidator::Violations(const Json& instance,
                                                                 std::size_t limit) const {
  if (limit == 0) {
    return Error(ErrorCode::kInvalidArgument, "violations: a limit of 0, expected at least 1");
  }
  // Most instances are valid: the quiet walk is several times faster.
  METIER_ASSIGN(const bool fits, Accepts(instance));
  if (fits) return std::vector<SchemaViolation>{};
  validator::Evaluation loud(*program_, limit);
  METIER_TRY(loud.Run(instance));
  return loud.TakeViolations();
}

}  // namespace metier::grammar
