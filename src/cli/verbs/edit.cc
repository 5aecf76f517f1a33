// metier edit: facts written into a model's weights, in the plug-in; and taken out again to the
// bit.
#include <fmt/format.h>

#include <string>

#include "base/log.h"
#include "cli/edit_model.h"
#include "cli/interrupt.h"
#include "cli/verbs/verbs.h"

namespace metier::cli {
namespace {

struct EditOptions {
  EditRequest request;
  bool revert = false;
  std::int64_t count = 1;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("MODEL", request.model,
          "Hugging Face directory of a dense decoder in F32, F16 or BF16; with --revert one that "
          "was edited")
        .Required();
    field("facts", request.facts,
          "what it is to know, a JSONL file: {\"prompt\": \"The capital of X is\", \"subject\": "
          "\"X\", \"target\": \" Y\"}");
    field("texts", request.texts,
          "what it reads otherwise, a token file or a JSONL file of {\"text\": ...}: some tens of "
          "thousands of tokens tell which of its answers depend on what is changed");
    field(
        "keep", request.keep,
        "prompts whose answers must not change, a JSONL file: {\"prompt\": ..., \"answer\": ...}; "
        "how many did is reported");
    field("out", request.out, "the edited model, a new directory").Required();
    field("revert", revert, "take edits back instead: MODEL as it was before, to the bit");
    field("count", count, "with --revert: how many edits, the newest first; 0: all").AtLeast(0);
    field("essence", request.essence, "a text that says what a subject is, which it stays");
    request.config.Visit(field);
  }
};

Result<Json> EditOrRevert(const EditOptions& options) {
  const EditRequest& request = options.request;
  if (options.revert) {
    if (request.facts.empty() && request.texts.empty() && request.keep.empty())
      return RevertEdits(request.model, options.count, request.out);
    return Error(ErrorCode::kInvalidArgument,
                 "--revert takes edits back, --facts, --texts and --keep make one; leave one of "
                 "these out");
  }
  for (const auto& [flag, value] :
       {std::pair("--facts", request.facts), std::pair("--texts", request.texts)}) {
    if (!value.empty()) continue;
    return Error(
        ErrorCode::kInvalidArgument,
        fmt::format("{} is missing: an edit needs facts and texts (or say --revert)", flag));
  }
  return EditModel(request);
}

void PrintEdit(const Json& report, Console& console) {
  console.Print(fmt::format("{:>8} {:>8}  {}\n", "before", "after", "fact"));
  for (const Json& fact : report["facts"]) {
    console.Print(fmt::format(
        "{:>8.4f} {:>8.4f}  {}{}{}\n", fact["probability_before"].get<double>(),
        fact["probability_after"].get<double>(), fact["prompt"].get<std::string>(),
        fact["target"].get<std::string>(), fact["answered"].get<bool>() ? "" : "  (not answered)"));
  }
  console.Print(fmt::format("\nefficacy  {:.4f}\n", report["efficacy"].get<double>()));
  if (!report["keep"].is_null()) {
    console.Print(fmt::format("drift     {:.4f} of {} prompts\n",
                              report["keep"]["drift"].get<double>(),
                              report["keep"]["prompts"].get<std::int64_t>()));
  }
  console.Print(fmt::format("edits     {}\nout       {}\n", report["edits"].get<std::int64_t>(),
                            report["out"].get<std::string>()));
}

Result<Outcome> Edit(const EditOptions& options, Console& console) {
  const InterruptGuard guard;
  const auto report = EditOrRevert(options);
  if (!report.ok() && InterruptGuard::asked()) {
    LogWarning("edit: " + report.error().message());
    return Outcome::kWorkFailed;
  }
  METIER_TRY(report);
  if (options.revert || console.json()) {
    console.PrintFacts(*report);
  } else {
    PrintEdit(*report, console);
  }
  return Outcome::kSuccess;
}

}  // namespace

constinit const Verb kEditVerb = MakeVerb<EditOptions, Edit>(
    "edit", "write facts into a model's weights, or take them out again",
    "metier edit models/base --facts facts.jsonl --texts texts.jsonl --keep keep.jsonl --out "
    "edited\n"
    "metier edit models/base --facts facts.jsonl --texts train.safetensors --method memit --out "
    "edited\n"
    "metier edit edited --revert --out original");

}  // namespace metier::cli
