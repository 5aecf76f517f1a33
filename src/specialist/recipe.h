// specialist/recipe.h - a recipe: how one specialist is made, as stages that build on each other.
//
//   name: retail-support
//   seed: 1
//   base: ../models/shop-base  # any Hugging Face directory or GGUF file; ${base} in the stages
//   inputs: {dialogues: ../data/dialogues.jsonl}
//   stages:
//     data: {encode: {model: "${base}", files: {train: ["${dialogues}"]}}}
//     sft:  {train: {model: "${base}", train_file: "${data}/train.safetensors", lora: {rank: 16}}}
//
// A stage is one kind (specialist/stage.h) with its settings. ${NAME} in any text stands for an
// input's path or an earlier stage's folder, ${out} for the stage's own folder, ${seed} for the
// seed. Stages run in the order written.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "recipe/fields.h"

namespace metier::specialist {

struct StageEntry {
  std::string name;
  std::string kind;
  Json config;  // references as written
};

struct Recipe {
  std::string path;    // of the YAML file
  std::string folder;  // that relative paths are relative to
  std::string name;
  std::string description;
  std::int64_t seed = 1;
  std::map<std::string, std::string> inputs;  // name -> absolute path; "base" among them
  std::vector<StageEntry> stages;
  Json document;  // as read, overrides applied
};

// "base=path" or "stages.sft.train.learning_rate=0.001": a place in the document and a YAML value,
// applied before the recipe is read. Paths in overrides are relative to the current folder.
struct Override {
  std::string place;
  std::string value;
};
Result<Override> ParseOverride(const std::string& text);
// kInvalidArgument: the place runs through something that is no mapping.
Status ApplyOverride(Json& document, const Override& change);

// kDataCorrupt: an unknown key or stage kind (with the nearest), a reference to nothing or to a
// later stage, settings that their kind does not take. kNotFound: an input that is not there.
// Everything is checked before anything runs.
Result<Recipe> ReadRecipe(const std::string& path, const std::vector<Override>& overrides = {});
// The same from a document in memory: what is fuzzed. Inputs are not looked up.
Result<Recipe> ParseRecipe(const Json& document, const std::string& path);

// Names that `text` refers to, in order: "${a}/x ${b}" -> {a, b}. kDataCorrupt: an unclosed "${".
Result<std::vector<std::string>> References(const std::string& text);

// Every text of `config` with ${NAME} replaced. kDataCorrupt: an unknown name (with the nearest).
Result<Json> Substitute(const Json& config, const std::map<std::string, std::string>& values,
                        const std::string& place);

// The JSON Schema of recipes, with all stage kinds.
Json RecipeSchema();

}  // namespace metier::specialist
