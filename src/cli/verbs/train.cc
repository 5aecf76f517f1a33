// metier train: one training run, in the plug-in.
#include <optional>
#include <string>
#include <vector>

#include "cli/interrupt.h"
#include "cli/verbs/verbs.h"
#include "recipe/train_config.h"
#include "specialist/descriptions.h"
#include "specialist/recipe.h"
#include "specialist/train_plugin.h"
#include "specialist/train_progress.h"

namespace metier::cli {
namespace {

struct TrainOptions {
  std::string config;
  std::vector<std::string> set;
  std::string out;
  std::string device;
  std::optional<std::int64_t> seed;
  std::optional<std::int64_t> threads;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("CONFIG", config, "the run, a YAML file: 'metier schema train' describes its keys")
        .Required();
    field("set", set, "change the run: KEY=VALUE, e.g. learning_rate=1e-4 or lora.rank=8");
    field("out", out, "instead of the file's output_dir");
    field("device", device, "instead of the file's device: cpu, cuda, cuda:1");
    field("seed", seed, "instead of the file's seed").AtLeast(0);
    field("threads", threads, "instead of the file's threads; 0: all cores")
        .AtLeast(0)
        .AtMost(1024);
  }
};

// The file with the flags' changes, checked before the plug-in is loaded.
Result<Json> ReadRequest(const TrainOptions& options) {
  METIER_ASSIGN(Json document, ReadYamlFile(options.config));
  for (const std::string& text : options.set) {
    METIER_ASSIGN(const specialist::Override change, specialist::ParseOverride(text));
    METIER_TRY(specialist::ApplyOverride(document, change));
  }
  if (!document.is_object()) document = Json::object();
  if (!options.out.empty()) document["output_dir"] = options.out;
  if (!options.device.empty()) document["device"] = options.device;
  if (options.seed) document["seed"] = *options.seed;
  if (options.threads) document["threads"] = *options.threads;
  METIER_ASSIGN(recipe::TrainConfig config,
                recipe::ParseTrainConfig(document, "'" + options.config + "'"));
  METIER_TRY(specialist::FillDescriptions(config));
  return recipe::WriteFields(config);
}

Result<Outcome> Train(const TrainOptions& options, Console& console) {
  METIER_ASSIGN(const Json request, ReadRequest(options));
  METIER_ASSIGN(const auto plugin, specialist::TrainPlugin::Load());
  const InterruptGuard guard;
  Result<Json> reply = [&] {
    specialist::TrainProgress progress("train");
    return plugin.Call("train", request, [&progress](const Json& event) {
      progress.OnEvent(event);
      return InterruptGuard::asked() ? specialist::TrainPlugin::Continue::kStop
                                     : specialist::TrainPlugin::Continue::kYes;
    });
  }();
  METIER_TRY(reply);
  // Of several workers the first speaks for all.
  if (!reply->contains("worker") || (*reply)["worker"] == 0) console.PrintFacts(*reply);
  const bool stopped = reply->contains("stopped") && (*reply)["stopped"] == true;
  return stopped ? Outcome::kWorkFailed : Outcome::kSuccess;
}

}  // namespace

constinit const Verb kTrainVerb = MakeVerb<TrainOptions, Train>(
    "train", "one training run; Ctrl-C saves a checkpoint, the same command goes on from it",
    "metier train sft.yaml\nmetier train sft.yaml --set learning_rate=1e-4 --set lora.rank=8");

}  // namespace metier::cli
