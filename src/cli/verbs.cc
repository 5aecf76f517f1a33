#include "cli/verbs/verbs.h"

#include "cli/verb.h"

namespace metier::cli {

std::span<const Verb* const> Verbs() {
  static constexpr const Verb* kVerbs[] = {
      &kRunVerb,          &kTrainVerb,          &kDataCheckVerb,    &kDataBuildVerb,
      &kDataStatsVerb,    &kEvalVerb,           &kEvalDiffVerb,     &kChatVerb,
      &kGenerateVerb,     &kInspectVerb,        &kConvertVerb,      &kMergeVerb,
      &kMergeExtractVerb, &kMergeEvolveVerb,    &kAdapterWriteVerb, &kEditVerb,
      &kPackVerb,         &kTokenizeVerb,       &kLogitsVerb,       &kParityVerb,
      &kGrammarCheckVerb, &kGrammarAcceptsVerb, &kBenchVerb,        &kDoctorVerb,
      &kSchemaVerb,       &kCompletionVerb,
  };
  return kVerbs;
}

}  // namespace metier::cli
