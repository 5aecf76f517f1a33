// metier convert: a model in another format or type.
#include <string>

#include "cli/convert_model.h"
#include "cli/verbs/verbs.h"

namespace metier::cli {
namespace {

struct ConvertOptions {
  Conversion conversion;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("MODEL", conversion.model, "specialist, model directory or .gguf file").Required();
    field("out", conversion.out, "what to write: a new directory, or a file ending in .gguf")
        .Required();
    field("to", conversion.to, "format; auto: by the ending of --out")
        .OneOf({"auto", "huggingface", "gguf"});
    field("dtype", conversion.dtype,
          "type of the weights; auto: the one that most have (F16 for a quantised model)")
        .OneOf({"auto", "F32", "F16", "BF16", "Q8_0"});
    field("adapter", conversion.adapter, "PEFT adapter directory to merge into the weights");
  }
};

Result<Outcome> Convert(const ConvertOptions& options, Console& console) {
  METIER_ASSIGN(const Json written, ConvertModel(options.conversion));
  console.PrintFacts(written);
  return Outcome::kSuccess;
}

}  // namespace

constinit const Verb kConvertVerb = MakeVerb<ConvertOptions, Convert>(
    "convert", "write a model in another format or type",
    "metier convert models/Qwen2.5-0.5B-Instruct --out qwen.gguf --dtype Q8_0\n"
    "metier convert model.gguf --out model-hf --dtype BF16");

}  // namespace metier::cli
