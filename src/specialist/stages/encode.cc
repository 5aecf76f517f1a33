// specialist/stages/encode.cc - conversations and texts to token files, through the model's own
// tokenizer and template.

#include "data/encode.h"

#include <fmt/format.h>

#include <map>

#include "specialist/content_hash.h"
#include "specialist/report.h"
#include "specialist/runnable.h"
#include "specialist/stages/stages.h"

namespace metier::specialist {
namespace {

struct EncodeSettings {
  std::string model;
  std::map<std::string, std::vector<std::string>> files;
  std::int64_t max_tokens = 0;
  std::string long_examples = "refuse";

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("model", model, "whose tokenizer and chat template: a model, or a tokenizer stage")
        .Required();
    field("files", files,
          "files to encode by name, one or a list; NAME.safetensors holds their tokens")
        .Required();
    field("max_tokens", max_tokens, "longest example; 0: no limit").AtLeast(0);
    field("long_examples", long_examples,
          "longer ones: refuse; truncate_front: the oldest turns go; drop: left out and counted")
        .OneOf({"refuse", "truncate_front", "drop"});
  }
};

data::LongExamples LongExamplesFromName(const std::string& name) {
  if (name == "truncate_front") return data::LongExamples::kTruncateFront;
  return name == "drop" ? data::LongExamples::kDrop : data::LongExamples::kRefuse;
}

Result<Json> Run(const StageContext& context) {
  EncodeSettings settings;
  METIER_TRY(recipe::ReadFields(context.config, context.name, settings));
  METIER_ASSIGN(const text::Tokenizer tokenizer, OpenTokenizer(settings.model));
  auto chat_template = OpenChatTemplate(settings.model, text::WithTools::kYes);
  if (!chat_template.ok() && chat_template.error().code() != ErrorCode::kNotFound) {
    return std::move(chat_template).error();
  }
  METIER_ASSIGN(const std::string hash, HashTokenizer(settings.model));
  data::EncodeOptions options;
  options.max_tokens = settings.max_tokens;
  options.threads = context.threads;
  options.long_examples = LongExamplesFromName(settings.long_examples);

  Json summary = Json::object();
  for (const auto& [name, files] : settings.files) {
    options.on_progress =
        context.Watch(context.name + ": " + name, "the encoding begins anew next time");
    const std::string out = fmt::format("{}/{}.safetensors", context.work, name);
    METIER_ASSIGN(const data::EncodeReport report,
                  data::EncodeFiles(files, tokenizer, hash,
                                    chat_template.ok() ? &*chat_template : nullptr, options, out));
    summary[name] = {{"examples", report.examples},
                     {"tokens", report.tokens},
                     {"trained_tokens", report.trained_tokens},
                     {"dropped", report.long_dropped},
                     {"truncated", report.long_truncated},
                     {"refused_by_template", report.template_refused}};
    if (report.good + report.bad > 0) {
      summary[name]["pairs"] = report.pairs;
      summary[name]["good"] = report.good;
      summary[name]["bad"] = report.bad;
    }
  }
  return summary;
}

std::string Section(const StageRecord& record) {
  std::string rows;
  for (const auto& [name, counts] : record.summary.items()) {
    if (!counts.is_object()) continue;
    rows += fmt::format("<tr><td>{}</td>", EscapeHtml(name));
    for (const char* key : {"examples", "tokens", "trained_tokens", "dropped", "truncated"}) {
      rows += fmt::format("<td class=\"figure\">{}</td>",
                          counts.contains(key) ? DumpCompact(counts[key]) : "-");
    }
    rows += "</tr>\n";
  }
  return fmt::format(
      "<h2>Data: {}</h2>\n<div class=\"wide\"><table><tr><th>set</th><th "
      "class=\"figure\">examples</th><th "
      "class=\"figure\">tokens</th><th class=\"figure\">with loss</th><th "
      "class=\"figure\">dropped</th><th "
      "class=\"figure\">cut</th></tr>\n{}</table></div>\n",
      EscapeHtml(record.name), rows);
}

}  // namespace

const StageKind kEncodeStage = {"encode",
                                "turn conversations and texts into tokens",
                                StageKind::Leftovers::kClear,
                                &CheckSettings<EncodeSettings>,
                                &Run,
                                &Section,
                                &SettingsSchema<EncodeSettings>};

}  // namespace metier::specialist
