#include "base/version.h"

namespace metier {

const char* Version() { return METIER_VERSION; }

}  // namespace metier
