// metier adapter write: a hypernetwork writes an adapter for a task that is described to it.
#include "cli/verbs/verbs.h"
#include "cli/write_adapter.h"

namespace metier::cli {
namespace {

Result<Outcome> WriteDescribed(const WriteAdapterOptions& options, Console& console) {
  METIER_ASSIGN(const Json written, WriteAdapter(options));
  console.PrintFacts(written);
  return Outcome::kSuccess;
}

}  // namespace

constinit const Verb kAdapterWriteVerb = MakeVerb<WriteAdapterOptions, WriteDescribed>(
    "adapter write", "an adapter for a task, from its description alone",
    "metier adapter write runs/hyper/final --describe \"Answer in capitals.\" --out capitals\n"
    "metier chat models/base --adapter capitals");

}  // namespace metier::cli
