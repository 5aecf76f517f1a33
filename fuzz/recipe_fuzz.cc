// Recipes: any YAML either reads as a recipe or says why not; what reads can be substituted.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "specialist/recipe.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto document = metier::ParseYaml({reinterpret_cast<const char*>(data), size});
  if (!document.ok()) return 0;
  const auto recipe = metier::specialist::ParseRecipe(*document, "recipe.yaml");
  if (!recipe.ok()) return 0;
  for (const auto& stage : recipe->stages) {
    static_cast<void>(
        metier::specialist::Substitute(stage.config, {{"out", "/o"}, {"seed", "1"}}, stage.name));
  }
  return 0;
}
