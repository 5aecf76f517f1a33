#include "cli/verbs/verbs.h"

#include "cli/verb.h"

namespace metier::cli {

std::span<const Verb* const> Verbs() {
  static constexpr const Verb* kVerbs[] = {
      &kInspectVerb, &kTokenizeVerb, &kDoctorVerb, &kSchemaVerb, &kCompletionVerb,
  };
  return kVerbs;
}

}  // namespace metier::cli
