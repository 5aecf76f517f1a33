// metier merge: models merged as a configuration says, or an adapter added into the weights of its
// base; metier merge extract: the way back; metier merge evolve: open numbers of a configuration
// found by held-out texts.
#include <fmt/format.h>

#include <filesystem>
#include <string>

#include "base/log.h"
#include "cli/convert_model.h"
#include "cli/evolve_merge.h"
#include "cli/extract_adapter.h"
#include "cli/interrupt.h"
#include "cli/merge_models.h"
#include "cli/verbs/verbs.h"

namespace metier::cli {
namespace {

struct MergeOptions {
  Conversion conversion;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("WHAT", conversion.model,
          "models: a configuration, its name ending in .yml or .yaml ('metier schema merge' "
          "describes its keys); or with --adapter the base, a model directory or .gguf file")
        .Required();
    field("adapter", conversion.adapter,
          "PEFT adapter directory, or one of singular values (svf), to add into WHAT");
    field("out", conversion.out,
          "what to write: a new directory, or, with --adapter, a file ending in .gguf")
        .Required();
    field("dtype", conversion.dtype,
          "type of the weights; auto: what the configuration says, or the one that most have; "
          "Q8_0 in a .gguf file only")
        .OneOf({"auto", "F32", "F16", "BF16", "Q8_0"});
  }
};

Result<Json> MergeAny(const MergeOptions& options) {
  const Conversion& what = options.conversion;
  const std::string ending = std::filesystem::path(what.model).extension().string();
  if (ending != ".yml" && ending != ".yaml") {
    if (!what.adapter.empty()) return ConvertModel(what);
    return Error(
        ErrorCode::kInvalidArgument,
        fmt::format("'{}' is no configuration (.yml, .yaml), and --adapter is missing: what "
                    "is to be merged with it?",
                    what.model));
  }
  if (what.adapter.empty()) {
    return MergeModels({.config = what.model, .out = what.out, .dtype = what.dtype});
  }
  return Error(
      ErrorCode::kInvalidArgument,
      fmt::format("--adapter goes with a model, found the configuration '{}'", what.model));
}

Result<Outcome> Merge(const MergeOptions& options, Console& console) {
  METIER_ASSIGN(const Json written, MergeAny(options));
  console.PrintFacts(written);
  return Outcome::kSuccess;
}

struct ExtractVerbOptions {
  ExtractRequest request;
  std::int64_t seed = 1;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("BASE", request.base, "the base: model directory or .gguf file").Required();
    field("TUNED", request.tuned, "what was made of it by training: alike").Required();
    field("out", request.out, "the adapter, a new directory in PEFT's form").Required();
    request.options.Visit(field);
    field("seed", seed, "of the search for the factors of large matrices").AtLeast(0);
  }
};

Result<Outcome> Extract(const ExtractVerbOptions& options, Console& console) {
  ExtractRequest request = options.request;
  request.options.seed = static_cast<std::uint64_t>(options.seed);
  METIER_ASSIGN(const Json found, ExtractAdapter(request));
  if (!found["left_out"].empty()) {
    LogWarning(fmt::format("{} changed tensors are not in the adapter, the first is '{}'",
                           found["left_out"].size(), found["left_out"][0].get<std::string>()));
  }
  if (console.json()) {
    console.PrintJson(found);
    return Outcome::kSuccess;
  }
  console.Print(fmt::format("{:<48} {:>5} {:>9} {:>9}\n", "module", "rank", "change", "error"));
  for (const Json& row : found["modules"]) {
    console.Print(fmt::format("{:<48} {:>5} {:>9.2e} {:>9.2e}\n", row["module"].get<std::string>(),
                              row["rank"].get<std::int64_t>(), row["change"].get<double>(),
                              row["error"].get<double>()));
  }
  console.Print(fmt::format("\nout   {}\nrank  {}\n", found["out"].get<std::string>(),
                            found["rank"].get<std::int64_t>()));
  return Outcome::kSuccess;
}

struct EvolveOptions {
  EvolveRequest request;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("CONFIG", request.config,
          "a configuration with {search: [lowest, highest]} in the place of numbers, and `evolve`: "
          "'metier schema merge' describes its keys")
        .Required();
    field("out", request.out,
          "folder of the run: state, best.yml, generations.svg, and the result in merged/; goes on "
          "with what stands there")
        .Required();
    field("threads", request.threads, "CPU threads; 0: all cores").AtLeast(0).AtMost(1024);
  }
};

Result<Outcome> Evolve(const EvolveOptions& options, Console& console) {
  const InterruptGuard guard;
  const auto found = EvolveMerge(options.request);
  if (!found.ok() && InterruptGuard::asked()) {
    LogWarning("merge evolve: " + found.error().message());
    return Outcome::kWorkFailed;
  }
  METIER_TRY(found);
  console.PrintFacts(*found);
  return Outcome::kSuccess;
}

}  // namespace

constinit const Verb kMergeVerb = MakeVerb<MergeOptions, Merge>(
    "merge", "merge models into one, or an adapter into the weights of its base",
    "metier merge ties.yml --out merged\n"
    "metier merge models/Qwen2.5-0.5B-Instruct --adapter runs/sft --out qwen-support");
constinit const Verb kMergeExtractVerb = MakeVerb<ExtractVerbOptions, Extract>(
    "merge extract", "what a fine-tuned model learned, as an adapter of its base",
    "metier merge extract models/base models/tuned --out adapter --rank 32\n"
    "metier merge extract models/base models/tuned --out adapter --rank 128 --energy 0.9");
constinit const Verb kMergeEvolveVerb = MakeVerb<EvolveOptions, Evolve>(
    "merge evolve", "find the open numbers of a merge; Ctrl-C keeps what is done",
    "metier merge evolve evolve.yml --out runs/merge");

}  // namespace metier::cli
