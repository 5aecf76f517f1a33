// metier pack: a model laid out as the engine streams it, so that loading is a map.
#include <cstdint>
#include <string>

#include "base/thread_pool.h"
#include "cli/pack_model.h"
#include "cli/verbs/verbs.h"

namespace metier::cli {
namespace {

struct PackOptions {
  std::string model;
  std::string out;
  std::int64_t threads = 0;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("MODEL", model, "specialist, model directory or .gguf file").Required();
    field("out", out, "what to write: a file for a file, a new directory for a directory")
        .Required();
    field("threads", threads, "CPU threads; 0: all cores").AtLeast(0).AtMost(1024);
  }
};

Result<Outcome> Pack(const PackOptions& options, Console& console) {
  const int threads =
      options.threads > 0 ? static_cast<int>(options.threads) : ThreadPool::DefaultThreads();
  METIER_ASSIGN(const Json written, PackModel(options.model, options.out, threads));
  console.PrintFacts(written);
  return Outcome::kSuccess;
}

}  // namespace

constinit const Verb kPackVerb = MakeVerb<PackOptions, Pack>(
    "pack", "lay a model out as the engine streams it, so that it starts at once",
    "metier pack model.gguf --out model-packed.gguf\n"
    "metier pack models/Qwen2.5-0.5B-Instruct --out qwen-packed");

}  // namespace metier::cli
