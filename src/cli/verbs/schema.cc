// metier schema: the JSON Schema of every kind of file that users write.
#include <fmt/format.h>

#include <string>
#include <vector>

#include "base/nearest.h"
#include "cli/verbs/verbs.h"
#include "evaluate/choices.h"
#include "evaluate/held_out_loss.h"
#include "evaluate/perplexity.h"
#include "evaluate/tool_calls.h"
#include "merge/merge_config.h"
#include "recipe/train_config.h"
#include "specialist/manifest.h"
#include "specialist/recipe.h"

namespace metier::cli {
namespace {

struct SchemaOptions {
  std::string name;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("NAME", name, "what to describe; nothing: list the names");
  }
};

struct NamedSchema {
  const char* name;
  const char* help;
  Json (*schema)();
};

constexpr NamedSchema kSchemas[] = {
    {"recipe", "how a specialist is made, what `metier run` reads", &specialist::RecipeSchema},
    {"specialist", "the manifest of a specialist's folder",
     &recipe::SchemaOf<specialist::Manifest>},
    {"train", "one training run, what `metier train` reads",
     &recipe::SchemaOf<recipe::TrainConfig>},
    {"merge", "a merge of models, what `metier merge` and `metier merge evolve` read",
     &recipe::SchemaOf<merge::MergeDocument>},
    {"perplexity", "the perplexity suite of an evaluation",
     &recipe::SchemaOf<evaluate::PerplexityOptions>},
    {"loss", "the suite of the loss on a held-out token file",
     &recipe::SchemaOf<evaluate::HeldOutLossOptions>},
    {"choices", "the suite of questions with given answers",
     &recipe::SchemaOf<evaluate::ChoiceOptions>},
    {"tool_calls", "the suite of next-tool-call exact match",
     &recipe::SchemaOf<evaluate::ToolCallOptions>},
};

Result<Outcome> ListSchemas(Console& console) {
  Json list = Json::array();
  for (const NamedSchema& entry : kSchemas) {
    list.push_back({{"name", entry.name}, {"help", entry.help}});
    if (!console.json()) console.Print(fmt::format("{:<12} {}\n", entry.name, entry.help));
  }
  if (console.json()) console.PrintJson(list);
  return Outcome::kSuccess;
}

Result<Outcome> Schema(const SchemaOptions& options, Console& console) {
  if (options.name.empty()) return ListSchemas(console);
  std::vector<std::string> known;
  for (const NamedSchema& entry : kSchemas) {
    if (entry.name != options.name) {
      known.emplace_back(entry.name);
      continue;
    }
    Json schema = {{"$schema", "https://json-schema.org/draft/2020-12/schema"},
                   {"title", entry.name}};
    const Json properties = entry.schema();
    for (const auto& [key, value] : properties.items()) schema[key] = value;
    console.PrintJson(schema);
    return Outcome::kSuccess;
  }
  const std::string nearest = NearestName(options.name, known);
  return Error(ErrorCode::kInvalidArgument,
               fmt::format("unknown schema '{}': {}", options.name,
                           nearest.empty() ? "'metier schema' lists the names"
                                           : "did you mean '" + nearest + "'?"));
}

}  // namespace

constinit const Verb kSchemaVerb =
    MakeVerb<SchemaOptions, Schema>("schema", "the JSON Schema of the files that you write",
                                    "metier schema\nmetier schema train > train.schema.json");

}  // namespace metier::cli
