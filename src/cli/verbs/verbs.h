// cli/verbs/verbs.h - the rows of the table: each stands in the file of its verb.
#pragma once

#include "cli/verb.h"

namespace metier::cli {

extern const Verb kAdapterWriteVerb;
extern const Verb kBenchVerb;
extern const Verb kChatVerb;
extern const Verb kCompletionVerb;
extern const Verb kConvertVerb;
extern const Verb kDataBuildVerb;
extern const Verb kDataCheckVerb;
extern const Verb kDataStatsVerb;
extern const Verb kDoctorVerb;
extern const Verb kEditVerb;
extern const Verb kEvalVerb;
extern const Verb kEvalDiffVerb;
extern const Verb kGenerateVerb;
extern const Verb kGrammarAcceptsVerb;
extern const Verb kGrammarCheckVerb;
extern const Verb kInspectVerb;
extern const Verb kLogitsVerb;
extern const Verb kMergeVerb;
extern const Verb kMergeEvolveVerb;
extern const Verb kMergeExtractVerb;
extern const Verb kPackVerb;
extern const Verb kParityVerb;
extern const Verb kRunVerb;
extern const Verb kSchemaVerb;
extern const Verb kTokenizeVerb;
extern const Verb kTrainVerb;

}  // namespace metier::cli
