// adapter_config.json from anywhere: parsed or refused; patterns end, and what is written back says
// the same again.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/json.h"
#include "format/peft.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto document =
      metier::ParseJson(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!document.ok()) return 0;
  const auto config = metier::format::ParsePeftConfig(*document);
  if (!config.ok()) return 0;
  const metier::Json written = metier::format::PeftConfigToJson(*config);
  const auto again = metier::format::ParsePeftConfig(written);
  METIER_CHECK(again.ok(), "what was written can be read");
  METIER_CHECK(metier::format::PeftConfigToJson(*again) == written, "and says the same");
  for (const char* module : {"model.layers.0.self_attn.q_proj", "transformer.h.11.attn.c_attn",
                             "model.layers.1.mlp.experts.3.down_proj", "lm_head"}) {
    METIER_CHECK(config->RankOf(module) >= 1, "a rank is positive");
    METIER_CHECK(!std::isnan(config->ScaleOf(module)), "a scale is a number");
    METIER_CHECK(config->Targets(module) == again->Targets(module), "the same layers are chosen");
  }
  return 0;
}
