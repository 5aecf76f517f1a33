// specialist/stage.h - the kinds of stages a recipe can have: one file each in stages/, one row
// each in the table.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/progress.h"
#include "base/result.h"
#include "recipe/fields.h"

namespace metier::specialist {

struct StageContext {
  std::string name;  // in the recipe
  Json config;       // references replaced by paths
  std::string work;  // folder to write into; becomes the stage's output when Run returns a value
  std::string recipe_folder;  // commands run here
  Json recipe;                // as it is run: changes and seed included
  std::int64_t seed = 1;
  int threads = 1;
  // Whether somebody asked the run to end. A stage that takes long looks now and then, keeps what
  // the next run can take up, and returns Interrupted().
  std::function<bool()> stop;

  bool StopAsked() const { return stop && stop(); }
  // For work that tells how far it is: shows that, and ends it with Interrupted(kept) when asked.
  // Must not outlive the context.
  OnProgress Watch(std::string label, std::string kept) const;
};

// What a stage returns that ended early because of StageContext::stop.
Error Interrupted(const std::string& kept);

// A finished stage, as its stage.json says.
struct StageRecord {
  std::string name;
  std::string kind;
  std::string key;  // hash of everything that went in
  std::string folder;
  double seconds = 0;
  bool cached = false;
  Json config;   // references replaced by paths
  Json summary;  // what Run returned
};

struct StageKind {
  std::string_view name;
  std::string_view help;
  // Whether an interrupted attempt's files are of use to the next one.
  enum class Leftovers { kClear, kResume } leftovers;
  // Settings of the right names and types? References are still unresolved.
  Status (*check)(const Json& config, const std::string& place);
  // Does the work. The value is the summary for the report and later stages.
  Result<Json> (*run)(const StageContext& context);
  // HTML of the report's section; "" for none.
  std::string (*section)(const StageRecord& record);
  Json (*schema)();
  // What ${NAME} stands for in later stages: this folder inside the stage's output; "": all of it.
  std::string_view result = "";
  // Files beside those that the settings refer to whose content decides what the stage makes; none:
  // nullptr. References in the settings are still unresolved.
  Result<std::vector<std::string>> (*files)(const Json& config,
                                            const std::string& recipe_folder) = nullptr;
  // Whether the recipe itself goes into the result: any change of it makes another one.
  bool keeps_recipe = false;
};

std::span<const StageKind* const> StageKinds();
// nullptr: no such kind.
const StageKind* FindStageKind(std::string_view name);

// The check and schema of a kind whose settings are a described struct.
template <recipe::Described T>
Status CheckSettings(const Json& config, const std::string& place) {
  T settings;
  return recipe::ReadFields(config, place, settings);
}
template <recipe::Described T>
Json SettingsSchema() {
  return recipe::SchemaOf<T>();
}

}  // namespace metier::specialist
