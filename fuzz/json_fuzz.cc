// ParseJson: no input crashes, hangs or leaks; what it reads can be written and read again.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/json.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto parsed = metier::ParseJson(text);
  if (!parsed.ok()) return 0;
  const std::string compact = metier::DumpCompact(*parsed);
  const auto again = metier::ParseJson(compact);
  METIER_CHECK(again.ok() && metier::DumpCompact(*again) == compact,
               "what was read reads the same");
  static_cast<void>(metier::DumpPython(*parsed));
  static_cast<void>(metier::DumpPretty(*parsed));
  return 0;
}
