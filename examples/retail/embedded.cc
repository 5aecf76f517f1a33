#include "retail/embedded.h"

#include "base/check.h"

namespace metier::retail {

std::string_view EmbeddedText(std::string_view name) {
  for (const EmbeddedFile& file : EmbeddedFiles()) {
    if (file.name == name) return file.text;
  }
  METIER_CHECK(false, "no embedded file of that name");
  return {};
}

}  // namespace metier::retail
