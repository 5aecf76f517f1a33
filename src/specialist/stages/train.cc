// specialist/stages/train.cc - one training run in the plug-in; an interrupted one goes on where
// its last checkpoint is.

#include <fmt/format.h>

#include "base/file.h"
#include "recipe/fields.h"
#include "recipe/train_config.h"
#include "specialist/descriptions.h"
#include "specialist/general_texts.h"
#include "specialist/report.h"
#include "specialist/rollouts.h"
#include "specialist/stages/stages.h"
#include "specialist/train_plugin.h"
#include "specialist/train_progress.h"

namespace metier::specialist {
namespace {

// The run itself says where the output goes and that it resumes.
Status Check(const Json& config, const std::string& place) {
  METIER_TRY(recipe::internal::CheckIsObject(place, config));
  for (const char* own : {"output_dir", "resume_from_checkpoint"}) {
    if (!config.contains(own)) continue;
    return Error(ErrorCode::kDataCorrupt,
                 fmt::format("{}.{}: the recipe's run sets this itself; leave it out", place, own));
  }
  Json request = config;
  request["output_dir"] = "out";
  METIER_TRY(recipe::ParseTrainConfig(request, place));
  return Ok();
}

Result<Json> Run(const StageContext& context) {
  Json request = context.config;
  request["output_dir"] = context.work;
  request["resume_from_checkpoint"] = "auto";
  if (!request.contains("seed")) request["seed"] = context.seed;
  if (!request.contains("threads")) request["threads"] = context.threads;
  METIER_ASSIGN(recipe::TrainConfig config, recipe::ParseTrainConfig(request, context.name));
  METIER_TRY(FillDescriptions(config));
  METIER_ASSIGN(const TrainPlugin plugin, TrainPlugin::Load());
  METIER_TRY(FillGeneralFile(config));
  TrainProgress progress(context.name);
  Rollouts rollouts;
  const auto on_event = [&](const Json& event) {
    progress.OnEvent(event);
    return context.StopAsked() ? TrainPlugin::Continue::kStop : TrainPlugin::Continue::kYes;
  };
  METIER_ASSIGN(Json summary,
                plugin.Call("train", recipe::WriteFields(config), on_event,
                            [&](const Json& question) { return rollouts.Answer(question); }));
  if (summary.value("stopped", false))
    return Interrupted(fmt::format("saved at step {}", summary.value("steps", std::int64_t{0})));
  // Paths in the folder under way, which is about to get its final name.
  for (const char* path : {"output", "checkpoint"}) summary.erase(path);
  return summary;
}

std::string Section(const StageRecord& record) {
  std::string html = fmt::format("<h2>Training: {}</h2>\n", EscapeHtml(record.name));
  constexpr std::uint64_t kMostBytes = 16ULL << 20;
  if (const auto curve = ReadFile(record.folder + "/training_loss.svg", kMostBytes); curve.ok()) {
    // The SVG is ours, but its first line may be an XML declaration, which HTML does not know.
    const std::size_t begin = curve->find("<svg");
    if (begin != std::string::npos) html += "<figure>" + curve->substr(begin) + "</figure>\n";
  }
  std::string rows;
  for (const auto& [key, value] : record.summary.items()) {
    if (!value.is_primitive()) continue;
    const std::string text = value.is_string() ? value.get<std::string>() : DumpCompact(value);
    rows += fmt::format("<tr><td>{}</td><td class=\"figure\">{}</td></tr>\n", EscapeHtml(key),
                        EscapeHtml(text));
  }
  return html + "<details><summary>Figures</summary><div class=\"wide\"><table>" + rows +
         "</table></div></details>\n";
}

}  // namespace

const StageKind kTrainStage = {"train",
                               "train a model or an adapter",
                               StageKind::Leftovers::kResume,
                               &Check,
                               &Run,
                               &Section,
                               &SettingsSchema<recipe::TrainConfig>,
                               /*result=*/"final"};

}  // namespace metier::specialist
