// ParseYaml: no input crashes, hangs or leaks; JSON of what it reads is JSON.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/json.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto parsed = metier::ParseYaml(text, {.max_yaml_nodes = 10'000});
  if (!parsed.ok()) {
    METIER_CHECK(parsed.error().message().size() < 1000, "messages stay short");
    return 0;
  }
  METIER_CHECK(metier::ParseJson(metier::DumpCompact(*parsed)).ok(), "what was read is JSON");
  return 0;
}
