// metier merge: an adapter added into the weights of its base.
#include <string>

#include "cli/convert_model.h"
#include "cli/verbs/verbs.h"

namespace metier::cli {
namespace {

struct MergeOptions {
  Conversion conversion;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("MODEL", conversion.model, "the base: model directory or .gguf file").Required();
    field("adapter", conversion.adapter, "PEFT adapter directory to merge").Required();
    field("out", conversion.out, "what to write: a new directory, or a file ending in .gguf")
        .Required();
    field("dtype", conversion.dtype, "type of the weights; auto: the one that most have")
        .OneOf({"auto", "F32", "F16", "BF16", "Q8_0"});
  }
};

Result<Outcome> Merge(const MergeOptions& options, Console& console) {
  METIER_ASSIGN(const Json written, ConvertModel(options.conversion));
  console.PrintFacts(written);
  return Outcome::kSuccess;
}

}  // namespace

constinit const Verb kMergeVerb = MakeVerb<MergeOptions, Merge>(
    "merge", "add an adapter into the weights of its base",
    "metier merge models/Qwen2.5-0.5B-Instruct --adapter runs/sft --out qwen-support");

}  // namespace metier::cli
