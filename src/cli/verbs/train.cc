// metier train: one training run, in the plug-in.
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "base/progress.h"
#include "cli/interrupt.h"
#include "cli/verbs/verbs.h"
#include "recipe/train_config.h"
#include "specialist/descriptions.h"
#include "specialist/general_texts.h"
#include "specialist/recipe.h"
#include "specialist/rollouts.h"
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
  bool plan = false;

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
    field("plan", plan,
          "start nothing: say how much memory and time the run will take, and fail where the "
          "memory is not there");
  }
};

double GiB(const Json& bytes) { return bytes.get<double>() / (1 << 30); }

void PrintPlan(const Json& plan, Console& console) {
  if (console.json()) {
    console.PrintJson(plan);
    return;
  }
  const Json& memory = plan["memory"];
  const Json& seconds = plan["seconds"];
  const auto line = [&console](const char* name, const std::string& text) {
    console.Print(fmt::format("{:<8}{}\n", name, text));
  };
  line("model",
       fmt::format("{} parameters, {} of them learn", plan["parameters"].get<std::int64_t>(),
                   plan["trainable_parameters"].get<std::int64_t>()));
  std::string peak = fmt::format("{:.2f} GiB at most", GiB(memory["peak"]));
  if (!memory["available"].is_null())
    peak += fmt::format(" of {:.2f} that can be had", GiB(memory["available"]));
  peak += fmt::format(": weights and moments {:.2f}, gradients {:.2f}, activations {:.2f}",
                      GiB(memory["weights_and_moments"]), GiB(memory["gradients"]),
                      GiB(memory["activations"]));
  if (!memory["program"].is_null())
    peak += fmt::format(", the program {:.2f}", GiB(memory["program"]));
  line("memory", peak);
  line("time",
       fmt::format(
           "{}: {} steps of {:.3g} s ({:.0f} tokens/s), evaluation {}, before the first step {}",
           FormatDuration(seconds["total"].get<double>()), plan["steps"].get<std::int64_t>(),
           seconds["step"].get<double>(),
           plan["tokens"].get<double>() / std::max(1e-9, seconds["training"].get<double>()),
           FormatDuration(seconds["evaluation"].get<double>()),
           FormatDuration(seconds["before"].get<double>())));
}

// The file with the flags' changes, checked before the plug-in is loaded.
Result<recipe::TrainConfig> ReadConfig(const TrainOptions& options) {
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
  return config;
}

Result<Outcome> Train(const TrainOptions& options, Console& console) {
  METIER_ASSIGN(recipe::TrainConfig config, ReadConfig(options));
  METIER_ASSIGN(const auto plugin, specialist::TrainPlugin::Load());
  if (!options.plan) METIER_TRY(specialist::FillGeneralFile(config));
  const Json request = recipe::WriteFields(config);
  const InterruptGuard guard;
  specialist::Rollouts rollouts;
  Result<Json> reply = [&] {
    specialist::TrainProgress progress(options.plan ? "plan" : "train");
    const auto on_event = [&progress](const Json& event) {
      progress.OnEvent(event);
      return InterruptGuard::asked() ? specialist::TrainPlugin::Continue::kStop
                                     : specialist::TrainPlugin::Continue::kYes;
    };
    return plugin.Call(options.plan ? "plan" : "train", request, on_event,
                       [&rollouts](const Json& question) { return rollouts.Answer(question); });
  }();
  METIER_TRY(reply);
  if (options.plan) {
    PrintPlan(*reply, console);
    return (*reply)["fits"] == false ? Outcome::kWorkFailed : Outcome::kSuccess;
  }
  // Of several workers the first speaks for all.
  if (!reply->contains("worker") || (*reply)["worker"] == 0) console.PrintFacts(*reply);
  const bool stopped = reply->contains("stopped") && (*reply)["stopped"] == true;
  return stopped ? Outcome::kWorkFailed : Outcome::kSuccess;
}

}  // namespace

constinit const Verb kTrainVerb = MakeVerb<TrainOptions, Train>(
    "train", "one training run; Ctrl-C saves a checkpoint, the same command goes on from it",
    "metier train sft.yaml\nmetier train sft.yaml --set learning_rate=1e-4 --set lora.rank=8\n"
    "metier train sft.yaml --plan");

}  // namespace metier::cli
