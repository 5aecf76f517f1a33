// metier logits: what a model computes for given tokens, as float32 for other programs.
#include <string>
#include <vector>

#include "cli/loaded_model.h"
#include "cli/model_path.h"
#include "cli/token_file.h"
#include "cli/torch_rows.h"
#include "cli/verbs/verbs.h"
#include "format/npy.h"

namespace metier::cli {
namespace {

struct LogitsOptions {
  std::string model;
  std::string tokens;
  std::string sequence;
  std::string out;
  std::string adapter;
  std::string backend = "native";
  std::int64_t threads = 0;
  std::string arithmetic = "exact";

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("MODEL", model, "model directory, specialist or .gguf file").Required();
    field("tokens", tokens, "JSON file: a list of token ids, or named lists").Required();
    field("sequence", sequence, "which of the named lists");
    field("out", out, ".npy file to write: float32 [tokens, vocab] ([tokens, width] of an encoder)")
        .Required();
    field("adapter", adapter, "PEFT adapter or mixture directory to put on top");
    field("backend", backend, "what computes; torch: the training plug-in")
        .OneOf({"native", "torch"});
    field("threads", threads, "CPU threads; 0: all cores").AtLeast(0).AtMost(1024);
    field("arithmetic", arithmetic,
          "products of quantised weights: fast rounds activations to 8 bits, exact does not")
        .OneOf({"fast", "exact"});
  }
};

Result<Outcome> Logits(const LogitsOptions& options, Console& console) {
  METIER_ASSIGN(const std::vector<model::TokenId> tokens,
                ReadTokenFile(options.tokens, options.sequence));
  METIER_ASSIGN(const ModelPath place, ResolveModelPath(options.model, options.adapter));
  const auto rows = static_cast<std::int64_t>(tokens.size());
  std::int64_t width = 0;
  if (options.backend == "torch") {
    METIER_ASSIGN(const TorchRows torch, ComputeTorchRows({.model = place.base,
                                                           .adapter = place.adapter,
                                                           .tokens = tokens,
                                                           .threads = options.threads}));
    width = static_cast<std::int64_t>(torch.values.size() / tokens.size());
    METIER_ASSIGN(auto writer, format::NpyWriter::Create(options.out, rows, width));
    METIER_TRY(writer.Write(torch.values));
    METIER_TRY(writer.Commit());
  } else {
    METIER_ASSIGN(const specialist::LoadedModel loaded,
                  LoadModel(place.base, place.adapter,
                            {.threads = static_cast<int>(options.threads),
                             .arithmetic = *engine::ArithmeticFromName(options.arithmetic)}));
    width = RowWidth(loaded.backend->spec());
    METIER_ASSIGN(auto writer, format::NpyWriter::Create(options.out, rows, width));
    METIER_TRY(ForEachRow(
        loaded, tokens, [&writer](const model::Rows& part) { return writer.Write(part.values); }));
    METIER_TRY(writer.Commit());
  }
  console.PrintFacts({{"out", options.out}, {"dtype", "float32"}, {"shape", {rows, width}}});
  return Outcome::kSuccess;
}

}  // namespace

constinit const Verb kLogitsVerb = MakeVerb<LogitsOptions, Logits>(
    "logits", "what a model computes for given tokens, as a .npy file",
    "metier logits model.gguf --tokens tokens.json --out logits.npy");

}  // namespace metier::cli
