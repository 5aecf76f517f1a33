// cli/verbs/verbs.h - the rows of the table: each stands in the file of its verb.
#pragma once

#include "cli/verb.h"

namespace metier::cli {

extern const Verb kCompletionVerb;
extern const Verb kDoctorVerb;
extern const Verb kInspectVerb;
extern const Verb kSchemaVerb;
extern const Verb kTokenizeVerb;

}  // namespace metier::cli
