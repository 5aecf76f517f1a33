// config.json from anywhere: becomes a valid ModelSpec or is refused; the spec lists its
// parameters, and its own config.json gives it back.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/json.h"
#include "model/adapter.h"
#include "model/family.h"
#include "model/model_spec.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto config =
      metier::ParseJson(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!config.ok() || !config->is_object()) return 0;
  const auto type = config->find("model_type");
  if (type == config->end() || !type->is_string()) return 0;
  const auto family = metier::model::FindFamilyByModelType(type->get<std::string>());
  if (!family.ok()) return 0;
  const auto spec = (*family)->from_config(*config);
  if (!spec.ok()) return 0;
  metier::Limits limits;
  limits.max_tensors = 1 << 11;  // lists of parameters beyond that only cost time
  if (!metier::model::Validate(*spec, limits).ok()) return 0;
  const auto again = (*family)->from_config((*family)->to_config(*spec));
  METIER_CHECK(again.ok() && *again == *spec, "its own config gives the spec back");
  METIER_CHECK(!metier::model::LinearModules(*spec).empty(), "a model has linear layers");
  if ((*family)->gguf_rules != nullptr) static_cast<void>((*family)->gguf_rules(*spec));
  if (spec->head_dim <= 4096) static_cast<void>(metier::model::RopeFrequencies(*spec));
  if (spec->heads <= 4096) static_cast<void>(metier::model::AlibiSlopes(spec->heads));
  return 0;
}
