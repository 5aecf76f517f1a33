// metier convert: a model in another format or type.
#include <initializer_list>
#include <string>

#include "cli/convert_model.h"
#include "cli/verbs/verbs.h"

namespace metier::cli {
namespace {

// "auto" and format::EncodableTypes().
constexpr std::initializer_list<const char*> kTypeNames = {
    "auto", "F32",  "F16",  "BF16", "Q4_0", "Q4_1", "Q5_0",   "Q5_1",
    "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS"};

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
          "type of the weights; auto: the one that most have (F16 for a quantised model); a "
          "directory takes F32, F16 and BF16")
        .OneOf(kTypeNames);
    field("head-dtype", conversion.head_dtype,
          "type of the token embedding and the head in a GGUF; auto: as --dtype, but Q6_K where "
          "that is smaller")
        .OneOf(kTypeNames);
    field("adapter", conversion.adapter, "PEFT adapter directory to merge into the weights");
    field("task", conversion.task,
          "of a model whose experts go by task: this one alone, with its experts only");
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
    "metier convert merged --out merged.gguf --dtype Q4_K\n"
    "metier convert model.gguf --out model-hf --dtype BF16\n"
    "metier convert runs/tasks/final --task returns --out returns");

}  // namespace metier::cli
